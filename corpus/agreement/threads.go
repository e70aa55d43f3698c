package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

func init() {
	register("locked", func() {
		for i := 0; i < 5; i++ {
			i := i
			spawn(func() {
				runtime.LockOSThread()
				held := wideAt(i)
				block()
				held[0]++
			})
		}
	})

	register("syscalls", func() {
		for i := 0; i < 5; i++ {
			var fds [2]int
			if err := syscall.Pipe(fds[:]); err != nil {
				panic(err)
			}
			reader := fds[0]
			spawn(func() { readHeap(reader, 100) })
			spawn(func() { readStack(reader) })
			spawn(func() { readRaw(reader) })
		}
	})
}

func readHeap(fd, n int) {
	held := pointer(n)
	buffer := make([]byte, n)
	syscall.Read(fd, buffer)
	*held++
	sink(buffer)
}

func readStack(fd int) {
	var object onStack
	object.a = pointer(fd)
	var buffer [64]byte
	syscall.Read(fd, buffer[:])
	touch(&object)
	sink(buffer[0])
}

func readRaw(fd int) {
	held := wideAt(fd)
	var b byte
	syscall.Syscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1)
	held[0]++
}
