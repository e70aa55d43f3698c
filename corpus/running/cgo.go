//go:build cgo

package main

/*
static unsigned long compute(unsigned long n)
{
	volatile unsigned long x = 1;
	while (n--)
		x = x * 31 + n;
	return x;
}
*/
import "C"

func init() {
	workers["cgo"] = func() {
		own := new(uint64)
		for {
			*own += uint64(C.compute(100000))
		}
	}
}
