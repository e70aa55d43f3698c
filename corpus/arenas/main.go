// Arenas fills user arenas (GOEXPERIMENT=arenas), frees one of them, collects, says what the runtime counts, and holds
// still until the end of its standard input.
package main

import (
	"arena"
	"settled"
	"syscall"
)

type node struct {
	next *node
	text []byte
	key  *int
	rest [10]int
}

var (
	arenas []*arena.Arena
	heads  []*node
)

func fill(a *arena.Arena) *node {
	var head *node
	for i := 0; i < 5000; i++ {
		key := i
		n := arena.New[node](a)
		n.next, n.key, n.text = head, &key, arena.MakeSlice[byte](a, 10, 100)
		head = n
		pointers := arena.MakeSlice[*int](a, 20, 30)
		for j := range pointers {
			pointers[j] = new(int)
		}
	}
	return head
}

func main() {
	for i := 0; i < 3; i++ {
		a := arena.NewArena()
		arenas = append(arenas, a)
		heads = append(heads, fill(a))
	}
	heads[1] = nil
	arenas[1].Free()
	arenas[1] = nil
	settled.Report()
	var input [1]byte
	syscall.Read(0, input[:])
}
