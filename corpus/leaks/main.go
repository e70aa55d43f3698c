// Leaks holds memory for nothing in one way at a time, as services do, and gives it back when asked.
//
//	leaks               prints the names of the cases
//	leaks prefix        builds the case, collects, says "ready heap_alloc=N" and holds still
//
// A byte on standard input applies the case's remedy, collects, and says "ready" again: what the remedy gave back is the
// difference, and what heapwhy promised can be compared with it. End of file ends the program.
//
// Most cases come as two: one leaks and its twin, NAME-cured, does the same work without the leak. Others are healthy
// and only look suspicious. expected.txt says what must be found in which; in all others nothing may be.
//
// To add a case, write it into the file of its subject, registered by the file's init, and a line into expected.txt.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"time"
)

type leak struct {
	build  func() // keeps its memory by globals or by goroutines
	remedy func() // may be nil
	use    func() // may be nil: done again after every collection, like the traffic of a service
	cured  func() // may be nil: what use becomes with the remedy
	last   func() // may be nil: done once there are no more collections
}

var leaks = map[string]leak{}

// pair registers a leak and its cured twin.
func pair(name string, build func(cured bool), remedy func()) {
	leaks[name] = leak{build: func() { build(false) }, remedy: remedy}
	leaks[name+"-cured"] = leak{build: func() { build(true) }}
}

// healthy registers a program that keeps no more than it needs.
func healthy(name string, build func()) {
	leaks[name] = leak{build: build}
}

const mib = 1 << 20

// body stands for something read: a request, a file, a row.
//
//go:noinline
func body(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + i%23)
	}
	return b
}

// spawn starts a goroutine and comes back when it runs.
func spawn(f func()) {
	started := make(chan bool)
	go func() {
		close(started)
		f()
	}()
	<-started
}

// settle collects until what is unreachable is gone, finalizers and their followers too.
func settle(l leak) uint64 {
	var m runtime.MemStats
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		if l.use != nil {
			l.use()
		}
	}
	if l.last != nil {
		l.last()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func main() {
	if len(os.Args) != 2 {
		names := make([]string, 0, len(leaks))
		for name := range leaks {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	l, known := leaks[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "leaks: no case called %s\n", os.Args[1])
		os.Exit(2)
	}
	leaks = nil
	l.build()
	fmt.Printf("ready heap_alloc=%d\n", settle(l))
	var input [1]byte
	for {
		if n, _ := os.Stdin.Read(input[:]); n != 1 {
			return
		}
		if l.remedy != nil {
			l.remedy()
		}
		l.use, l.last = l.cured, nil
		fmt.Printf("ready heap_alloc=%d\n", settle(l))
	}
}
