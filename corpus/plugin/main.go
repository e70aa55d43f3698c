// Plugin opens a plugin (its own path and ".so"), lets it allocate and block goroutines, collects, says what the
// runtime counts, and holds still until the end of its standard input.
package main

import (
	"os"
	"plugin"
	"settled"
	"syscall"
)

var never = make(chan int)

func main() {
	plugged, err := plugin.Open(os.Args[0] + ".so")
	if err != nil {
		panic(err)
	}
	fill, _ := plugged.Lookup("Fill")
	fill.(func())()
	block, _ := plugged.Lookup("Block")
	for i := 0; i < 5; i++ {
		go block.(func(chan int))(never)
	}
	settled.Report()
	var input [1]byte
	syscall.Read(0, input[:])
}
