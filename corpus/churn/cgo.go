//go:build cgo

package main

// unsigned long compute(unsigned long n);
// void call_back(int n);
import "C"

//export callback
func callback(n C.int) {
	held := tree(1)
	if n > 0 {
		computeAndCall(int(n) - 1)
	}
	shelf[3801+n] = held.right
}

func init() {
	workers["cgo"] = func() {
		for i := 0; ; i++ {
			held := tree(1)
			sinks[3] += uint64(C.compute(20000))
			shelf[3800] = held.left
			pause(i)
		}
	}
	workers["callbacks"] = func() { // Go calls C calls Go calls C
		for i := 0; ; i++ {
			held := tree(1)
			computeAndCall(3)
			shelf[3810] = held
			pause(i)
		}
	}
}

func computeAndCall(n int) {
	held := tree(0)
	C.compute(1000)
	C.call_back(C.int(n))
	shelf[3820+n] = held
}
