//go:build !go1.23

package main

// pullInts stands for iter.Pull, which came with 1.23.
func pullInts(sequence func(yield func(int) bool)) (next func() (int, bool), stop func()) {
	wanted, values := make(chan bool), make(chan int)
	go func() {
		defer close(values)
		if <-wanted {
			sequence(func(value int) bool {
				values <- value
				return <-wanted
			})
		}
	}()
	next = func() (int, bool) {
		wanted <- true
		value, more := <-values
		return value, more
	}
	return next, func() { wanted <- false }
}
