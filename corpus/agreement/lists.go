package main

import (
	"container/heap"
	"container/list"
	"container/ring"
)

type link struct {
	next  *link
	value [3]int
}

type doubly struct {
	prev, next *doubly
	body       *string
}

type tree struct {
	left, right *tree
	depth       int
	label       string
}

func grow(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{grow(depth - 1), grow(depth - 1), depth, text(depth)}
}

type node struct {
	edges []*node
	extra any
}

type intHeap []*int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return *h[i] < *h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(*int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1] // the popped element stays in the array: reachable, as the collector sees it
	return x
}

var (
	chain     *link
	circle    *doubly
	boxed     = list.New()
	removed   *list.Element
	leftover  *list.Element
	rings     *ring.Ring
	binary    *tree
	network   []*node
	priority  intHeap
	queue     []*link
	matrix    [][]*int
	threeDeep ***int
	selfLoop  any
)

func init() {
	register("lists", func() {
		for i := 0; i < 200000; i++ {
			chain = &link{chain, [3]int{i}}
		}
		circle = &doubly{}
		circle.prev, circle.next = circle, circle
		for i := 0; i < 5000; i++ {
			s := text(i)
			d := &doubly{circle.prev, circle, &s}
			d.prev.next, d.next.prev = d, d
		}
		for i := 0; i < 5000; i++ {
			boxed.PushBack(i * 1000)
		}
		removed = boxed.Front()
		boxed.Remove(removed)
		other := list.New()
		for i := 0; i < 100; i++ {
			other.PushBack(text(i))
		}
		leftover = other.Front()
		other.Init() // the element keeps the whole chain
		rings = ring.New(1000)
		for i := 0; i < 1000; i++ {
			rings.Value = pair{text(i), int32(i)}
			rings = rings.Next()
		}
		binary = grow(14)
		network = make([]*node, 5000)
		for i := range network {
			network[i] = &node{}
		}
		for i, n := range network {
			for j := 0; j < i%7; j++ {
				n.edges = append(n.edges, network[(i*31+j*977)%len(network)])
			}
			n.extra = &n.edges
		}
		network = network[:1] // the rest hangs on the edges, or is garbage
		for i := 0; i < 300; i++ {
			heap.Push(&priority, pointer(i*7919%1000))
		}
		for i := 0; i < 100; i++ {
			heap.Pop(&priority)
		}
		for i := 0; i < 1000; i++ {
			queue = append(queue, &link{nil, [3]int{i}})
			if i%3 == 0 {
				queue = queue[1:]
			}
		}
		matrix = make([][]*int, 50)
		for i := range matrix {
			matrix[i] = make([]*int, 30, 60)
			matrix[i][i%30] = pointer(i)
		}
		one := pointer(3)
		two := &one
		threeDeep = &two
		loop := make([]any, 2)
		loop[0] = loop
		selfLoop = loop
	})
}
