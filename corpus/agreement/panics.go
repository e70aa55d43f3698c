package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

func init() {
	register("panics", func() {
		for i := 0; i < 10; i++ {
			i := i
			spawn(func() { panicBlocked(i) })
			spawn(func() { panicDeep(i, 5) })
			spawn(func() { panicTwice(i) })
			spawn(func() { panicRecovered(i) })
			spawn(func() { panicRecoveredBelow(i) })
			spawn(func() { panicNil(i, nil) })
			spawn(func() { panicIndex(i, make([]*int, 3)) })
			spawn(func() { panicOpenCoded(i) })
			spawn(func() { goexit(i) })
			spawn(func() { panicRepanicked(i) })
			spawn(func() { panicInLoopDefer(i) })
		}
	})
}

func panicBlocked(i int) {
	held := wideAt(i)
	defer func() { sink(held) }()
	defer block()
	panic(fmt.Sprintf("panic %d", i))
}

func panicDeep(i, depth int) {
	held := pointer(i)
	defer func() { *held++ }()
	if depth > 0 {
		panicDeep(i, depth-1)
		return
	}
	func() {
		defer func() {
			inner := wideAt(i)
			block()
			inner[0]++
		}()
		panic(newResource(i))
	}()
}

// A panic in a deferred function of a panic: both are in flight.
func panicTwice(i int) {
	defer func() { sink(recover()) }()
	defer func() {
		held := wideAt(i)
		defer func() {
			block()
			held[1]++
		}()
		panic(errors.New(text(i)))
	}()
	panic(newResource(i))
}

func panicRecovered(i int) {
	held := wideAt(i)
	func() {
		defer func() { recover() }()
		panic(newResource(i))
	}()
	block()
	held[0]++
}

func panicRecoveredBelow(i int) {
	defer func() {
		reason := recover()
		held := pointer(i)
		block()
		sink(reason)
		*held++
	}()
	panic(fmt.Errorf("wrapped: %w", errors.New(text(i))))
}

// The signal's frame lies between the faulting function and the deferred one.
func panicNil(i int, p *wide) {
	held := wideAt(i)
	defer func() {
		inner := text(i)
		block()
		sink(inner + text(i))
		sink(held)
	}()
	before := pointer(i)
	p[5] = 1
	*before++
}

func panicIndex(i int, s []*int) {
	other := wideAt(i)
	defer func() { block(); other[0]++ }()
	*s[len(s)+i]++
}

func panicOpenCoded(i int) {
	a, b, c := wideAt(1), pointer(2), text(3)
	defer func() { sink(a) }()
	if i%2 == 0 {
		defer func() { sink(b) }()
	}
	defer func() { block(); sink(c) }()
	func() {
		d := wideAt(4)
		defer sink(d)
		strings.Repeat("x", -1)
	}()
}

func goexit(i int) {
	held := wideAt(i)
	defer func() { held[0]++ }()
	defer func() {
		inner := pointer(i)
		block()
		*inner++
	}()
	runtime.Goexit()
}

func panicRepanicked(i int) {
	defer func() {
		held := pointer(i)
		block()
		*held++
	}()
	defer func() {
		r := recover()
		panic(fmt.Sprint("again: ", r))
	}()
	panic(text(i))
}

func panicInLoopDefer(i int) {
	for j := 0; j < 3; j++ {
		p := wideAt(j)
		defer func() {
			if p[0] == 1 {
				block()
			}
			p[1]++
		}()
	}
	panic(newResource(i))
}
