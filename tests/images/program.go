// Program makes a little of everything that the collector treats in a way of its own, collects, prints what the runtime
// counts, and blocks. images/capture.sh makes captured images of it. It imports as little as possible: an image holds
// the program's types and tables too.
package main

import (
	"runtime"
	"syscall"
	"time"
)

type node struct {
	left, right *node
	name        string
	weight      int
}

type record struct {
	key    *int
	text   [3]string
	filler [20]int
	nodes  []*node
}

type shape interface{ area() int }

func (n *node) area() int { return n.weight }

var (
	tree      *node
	records   []record
	wide      *[300]record
	table     = map[string]*node{}
	shapes    []shape
	closures  []func() int
	messages  = make(chan *node, 10)
	never     = make(chan *node)
	finalized int
	watched   []*node
	timers    []*time.Timer
	bytes     [][]byte
	stats     runtime.MemStats
)

func grow(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{left: grow(depth - 1), right: grow(depth - 1), weight: depth}
}

func text(i int) string {
	return string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
}

//go:noinline
func waiter(i int, n *node) int {
	local := record{key: &i, nodes: []*node{n, grow(2)}}
	pointer := &local
	defer func() { finalized += pointer.nodes[0].weight }()
	pointer.text[1] = text(i)
	n = <-never
	return n.weight + *local.key + len(pointer.text[1])
}

func build() {
	tree = grow(7)
	records = make([]record, 40)
	wide = new([300]record)
	for i := 0; i < 40; i++ {
		i := i
		key := i
		n := &node{name: text(i), weight: i}
		records[i] = record{key: &key, nodes: make([]*node, i, i+3)}
		wide[i*7].nodes = []*node{n}
		table[text(i)] = n
		shapes = append(shapes, n)
		closures = append(closures, func() int { return i + len(table) + n.weight })
		bytes = append(bytes, make([]byte, i*100))
		if i < 8 {
			messages <- &node{weight: i}
			go waiter(i, n)
		}
		w := &node{left: n, weight: i}
		watched = append(watched, w)
		runtime.SetFinalizer(w, func(n *node) { finalized++ })
		timers = append(timers, time.AfterFunc(time.Hour, func() { finalized += i }))
		attach(w, i)
	}
}

// blockFinalizers leaves finalizers in the queue: the first one never returns.
func blockFinalizers() {
	for i := 0; i < 5; i++ {
		n := &node{left: grow(2), weight: i}
		runtime.SetFinalizer(n, func(n *node) { <-never })
	}
}

func digits(n uint64) string {
	s := ""
	for ; n > 0 || s == ""; n /= 10 {
		s = string(rune('0'+n%10)) + s
	}
	return s
}

func main() {
	build()
	blockFinalizers()
	for i := 0; i < 6; i++ {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	runtime.ReadMemStats(&stats)
	println("ready", stats.HeapAlloc)
	var input [1]byte
	syscall.Read(0, input[:])
}
