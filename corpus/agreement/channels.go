package main

import (
	"context"
	"sync"
	"sync/atomic"
)

var (
	buffered  = make(chan *int, 100)
	wrapped   = make(chan string, 8)
	fat       = make(chan [300]*int, 3)
	zeroSized = make(chan struct{}, 1000)
	scalar    = make(chan int64, 5000)
	closed    = make(chan []byte, 10)
	ofChans   = make(chan chan *int, 4)
	mixed     = make(chan any, 4)
	receivers = make(chan *int)
	senders   = make(chan *wide)
	full      = make(chan pair, 1)
	mutex     sync.Mutex
	shared    sync.RWMutex
	cond      = sync.NewCond(&sync.Mutex{})
	group     sync.WaitGroup
	once      sync.Once
)

func init() {
	register("channels", func() {
		for i := 0; i < 60; i++ {
			buffered <- pointer(i)
		}
		for i := 0; i < 13; i++ {
			wrapped <- text(i)
			if i >= 5 {
				<-wrapped
			}
		}
		fat <- [300]*int{pointer(1), 299: pointer(2)}
		zeroSized <- struct{}{}
		scalar <- 1
		closed <- make([]byte, 100)
		close(closed)
		ofChans <- make(chan *int, 2)
		c := make(chan *int, 3)
		c <- new(int)
		ofChans <- c
		mixed <- text(3)
		mixed <- wide{}
		mutex.Lock()
		shared.Lock()
		group.Add(1)
		for i := 0; i < 20; i++ {
			i := i
			spawn(func() { *<-receivers++ })
			spawn(func() { senders <- wideAt(i) })
			spawn(func() { full <- pair{text(i), 0} })
			spawn(func() { selectMany(i) })
			spawn(func() { held := pointer(i); mutex.Lock(); *held++ })
			spawn(func() { held := text(i); shared.RLock(); sink(held) })
			spawn(func() { held := pointer(i); cond.L.Lock(); cond.Wait(); *held++ })
			spawn(func() { held := wideAt(i); group.Wait(); held[0]++ })
		}
		spawn(func() { once.Do(func() { held := new(wide); block(); held[1]++ }) })
		spawn(func() { held := new(wide); once.Do(func() {}); held[1]++ })
		spawn(func() { var none chan *int; held := new(int); *<-none = *held })
		spawn(func() { held := new(wide); sink(held); select {} })
		// Reachable only through the goroutine that waits on it.
		private := make(chan *wide, 2)
		private <- new(wide)
		spawn(func() { <-private; sink(<-private); sink(<-private) })
		ctx, cancel := context.WithCancel(context.Background())
		spawn(func() { <-ctx.Done(); cancel() })
		child, stop := context.WithCancel(context.WithValue(ctx, pair{"key", 1}, text(9)))
		spawn(func() { <-child.Done(); stop() })
	})
}

func wideAt(i int) *wide {
	w := new(wide)
	w[0] = byte(i)
	return w
}

var sunk atomic.Pointer[any]

// sink makes x escape to the heap, and drops it.
func sink(x any) {
	sunk.Store(&x)
	sunk.Store(nil)
}

func selectMany(i int) {
	a, b, c := make(chan *int), make(chan string, 1), make(chan *wide)
	value := pointer(i)
	b <- text(i)
	var got *wide
	select {
	case a <- value:
	case b <- text(i + 1):
	case got = <-c:
		sink(got)
	case s := <-closedLater:
		sink(s)
	}
	*value++
}

var closedLater = make(chan string)
