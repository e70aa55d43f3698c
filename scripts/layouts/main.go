// A program that uses every part of the runtime whose structs heapwhy reads, so that the linker keeps their debug
// information. It is built, never run (scripts/layouts.sh).
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

type node struct{ next *node }

func main() {
	n := &node{}
	runtime.SetFinalizer(n, func(*node) {})
	c := make(chan *node, 1)
	m := map[string]*node{"a": n}
	var mu sync.Mutex
	go func() { mu.Lock(); defer mu.Unlock(); c <- n }()
	select {
	case <-c:
	case <-time.After(time.Second):
	}
	defer func() { recover() }()
	fmt.Fprintln(os.Stderr, m)
}
