//go:build cgo

package main

/*
#include <stdlib.h>
#include <unistd.h>

static int blocking_read(int fd, void *p, size_t n)
{
	char c[64];
	long sum = 0;
	while (read(fd, c, sizeof c) > 0)
		sum += *(char *)p;
	return (int)sum;
}

extern void goCallback(int);

static void call_back(int i)
{
	goCallback(i);
}
*/
import "C"

import (
	"runtime/cgo"
	"syscall"
	"unsafe"
)

var (
	cgoHandles []cgo.Handle
	cMemory    []unsafe.Pointer
)

//export goCallback
func goCallback(i C.int) {
	held := wideAt(int(i))
	block()
	held[0]++
}

func init() {
	register("cgo", func() {
		for i := 0; i < 5; i++ {
			i := i
			var fds [2]int
			if err := syscall.Pipe(fds[:]); err != nil {
				panic(err)
			}
			reader := C.int(fds[0])
			spawn(func() {
				held, argument := pointer(i), wideAt(i)
				C.blocking_read(reader, unsafe.Pointer(argument), 200)
				*held++
			})
			spawn(func() {
				held := text(i)
				C.call_back(C.int(i))
				sink(held)
			})
			cgoHandles = append(cgoHandles, cgo.NewHandle(newResource(i)))
			cMemory = append(cMemory, C.malloc(1000))
		}
	})
}
