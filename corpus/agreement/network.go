//go:build !go1.23 || go1.25

package main

import (
	"net"
	"os"
)

var (
	pipeReader, pipeWriter *os.File
	socket                 net.Listener
	connections            []net.Conn
)

// Not with Go 1.23 and 1.24: see unique_go125.go; package net uses unique.
func init() {
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
