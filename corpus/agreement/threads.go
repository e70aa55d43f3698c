package main

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

var (
	pipeReader, pipeWriter *os.File
	socket                 net.Listener
	connections            []net.Conn
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

	register("network", func() {
		pipeReader, pipeWriter, _ = os.Pipe()
		for i := 0; i < 5; i++ {
			i := i
			spawn(func() {
				held := make([]byte, 1000+i)
				pipeReader.Read(held)
			})
		}
		socket, _ = net.Listen("tcp", "127.0.0.1:0")
		for i := 0; i < 10; i++ {
			if c, err := net.Dial("tcp", socket.Addr().String()); err == nil {
				server, _ := socket.Accept()
				connections = append(connections, c)
				spawn(func() { server.Read(make([]byte, 2000)) })
			}
		}
		spawn(func() { socket.Accept() })
		a, b := net.Pipe()
		connections = append(connections, a)
		spawn(func() { b.Read(make([]byte, 100)) })
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
