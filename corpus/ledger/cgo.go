//go:build cgo

package main

// #include <stdlib.h>
// #include <string.h>
// static void *take(size_t size) { void *p = malloc(size); memset(p, 1, size); return p; }
import "C"

// 32 MiB in one piece and 16 MiB in small ones: glibc takes the first by mmap, the others from its heap.
func init() {
	shapes["cgo"] = func() {
		C.take(32 << 20)
		for i := 0; i < 16<<10; i++ {
			C.take(1 << 10)
		}
	}
}
