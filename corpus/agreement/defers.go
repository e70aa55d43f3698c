package main

import "os"

func init() {
	register("defers", func() {
		for i := 0; i < 10; i++ {
			i := i
			spawn(func() { deferOpenCoded(i) })
			spawn(func() { deferConditional(i) })
			spawn(func() { deferInLoop(i) })
			spawn(func() { deferMany(i) })
			spawn(func() { deferArguments(pointer(i), text(i), wide{byte(i)}) })
			spawn(func() { deferNested(5) })
			spawn(func() { deferMethod(i) })
			spawn(func() { deferRunning(i) })
			spawn(func() { deferLoopVariable(i) })
		}
	})
}

// The compiler keeps these deferred functions in the frame and calls them at the return.
func deferOpenCoded(i int) {
	a, b := wideAt(i), text(i)
	defer func() { sink(a) }()
	defer sink(b)
	block()
}

func deferConditional(i int) {
	if i%2 == 0 {
		a := wideAt(i)
		defer func() { a[0]++ }()
	}
	if len(os.Args) > i {
		b := pointer(i)
		defer sink(b)
	}
	block()
}

// A defer in a loop has its record on the heap.
func deferInLoop(i int) {
	for j := 0; j <= i; j++ {
		p := wideAt(j)
		defer func() { p[0]++ }()
		if j%2 == 0 {
			defer sink(text(j))
		}
	}
	block()
}

// More than eight defers: records on the stack.
func deferMany(i int) {
	a, b, c, d, e := pointer(i), pointer(i), pointer(i), pointer(i), pointer(i)
	defer sink(a)
	defer sink(b)
	defer sink(c)
	defer sink(d)
	defer sink(e)
	defer func() { *a++ }()
	defer func() { *b++ }()
	defer func() { *c++ }()
	defer func() { *d++ }()
	defer func() { *e++ }()
	block()
}

func takes(p *int, s string, w wide) { sink(p); sink(s); sink(w) }

func deferArguments(p *int, s string, w wide) {
	for j := 0; j < 3; j++ {
		defer takes(pointer(j), s, w)
	}
	defer takes(p, s, w)
	block()
}

func deferNested(depth int) {
	held := wideAt(depth)
	defer func() { held[1]++ }()
	if depth == 0 {
		block()
	}
	deferNested(depth - 1)
}

func deferMethod(i int) {
	c := &counter{name: text(i)}
	var a adder = c
	defer a.add(1)
	defer c.add(2)
	defer c.value()
	f := c.add
	defer f(3)
	block()
}

// Blocked while a deferred function runs, after a normal return.
func deferRunning(i int) {
	p := pointer(i)
	defer sink(p)
	defer func() {
		held := wideAt(i)
		block()
		held[0]++
	}()
	for j := 0; j < 2; j++ {
		q := pointer(j)
		defer func() { *q++ }()
	}
}

func deferLoopVariable(i int) {
	func() {
		for j := 0; j < 4; j++ {
			p := wideAt(j)
			defer func() {
				p[2]++
				if p[0] == 1 {
					block()
				}
			}()
		}
	}()
	sink(i)
}
