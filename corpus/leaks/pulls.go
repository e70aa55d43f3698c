package main

// Iterators that are asked for one value after the other are goroutines.
func init() {
	pair("pulls-dropped", pullPages, nil)
	healthy("pulls-kept", keepPulls)
	healthy("pulls-in-turn", pullInTurn)
}

type pull struct {
	next func() (int, bool)
	stop func()
}

func pullPage() pull {
	next, stop := pullInts(func(yield func(int) bool) {
		page := body(32 << 10)
		for _, b := range page {
			if !yield(int(b)) {
				return
			}
		}
	})
	next()
	return pull{next, stop}
}

func pullPages(cured bool) {
	for i := 0; i < 100; i++ {
		p := pullPage()
		if cured {
			p.stop()
		}
	}
}

var pulls []pull

func keepPulls() {
	for i := 0; i < 100; i++ {
		pulls = append(pulls, pullPage())
	}
}

// The one who pulls waits for the iterator, and that for its next value.

var fetched = make(chan int)

func pullInTurn() {
	for i := 0; i < 100; i++ {
		spawn(func() {
			next, stop := pullInts(func(yield func(int) bool) {
				page := body(32 << 10)
				for n := range fetched {
					if !yield(int(page[n])) {
						return
					}
				}
			})
			defer stop()
			for {
				if _, more := next(); !more {
					return
				}
			}
		})
	}
}
