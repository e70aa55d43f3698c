package main

import (
	"math/rand"
	"runtime"
)

type onStack struct {
	a     *int
	pad   [10]int
	b     *onStack
	names [5]string
}

func init() {
	register("stacks", func() {
		spawn(func() { hugeFrame(5) })
		for i := 0; i < 10; i++ {
			i := i
			spawn(func() { bigFrame(i) })
			spawn(func() { chained(i) })
			spawn(func() { recursion(i*100, nil) })
			spawn(func() { deadVariables(i) })
			spawn(func() { oneOfMany(i) })
			spawn(func() { shrunk(i) })
			spawn(func() { interfaceOnStack(i) })
			spawn(func() { dynamicObjects(i) })
			spawn(func() { results(i) })
			spawn(func() {
				arguments(pointer(1), text(2), []*int{pointer(3)}, newResource(4), wideAt(5), 6, 7.0, text(8), pointer(9))
			})
		}
	})
}

type triple struct {
	a *int
	n int
	s *string
}

// Too large for a bitmap: up to 1.23 its pointers are described by a GC program, later it is on the heap.
func hugeFrame(i int) {
	var huge [20000]triple
	name := text(i)
	huge[i] = triple{a: pointer(1), s: &name}
	huge[len(huge)-i].a = pointer(2)
	p := &huge
	block()
	*p[i].a++
	sink(*p[i].s)
}

//go:noinline
func touch(o *onStack) *int { return o.a }

// An object of a frame whose address is taken: live only as far as something points to it.
func bigFrame(i int) {
	var big [500]*wide
	for j := range big {
		big[j] = wideAt(j)
	}
	p := &big[i]
	block()
	(*p)[0]++
}

func chained(i int) {
	last := onStack{a: pointer(1)}
	middle := onStack{a: pointer(2), b: &last}
	first := onStack{a: pointer(3), b: &middle}
	unused := onStack{a: pointer(4)}
	touch(&unused)
	first.names[i%5] = text(i)
	top := &first
	touch(top)
	block()
	touch(top.b.b)
}

func recursion(depth int, above *onStack) {
	here := onStack{a: pointer(depth), b: above}
	if depth <= 0 {
		block()
	} else {
		recursion(depth-1, &here)
	}
	if depth%3 == 0 {
		touch(&here)
	}
}

// Neither of these is needed after the wait, so the collector frees what they hold.
func deadVariables(i int) {
	dead := wideAt(i)
	dead[0]++
	var deadObject onStack
	deadObject.a = pointer(i)
	touch(&deadObject)
	live := text(i)
	block()
	sink(live)
}

func oneOfMany(i int) {
	var a, b, c onStack
	a.a, b.a, c.a = pointer(1), pointer(2), pointer(3)
	all := [...]*onStack{&a, &b, &c}
	one := all[i%3]
	block()
	touch(one)
}

//go:noinline
func deep(n int) int {
	var space [100]int
	space[n%100] = n
	if n > 0 {
		return deep(n-1) + space[(n+1)%100]
	}
	return 0
}

// The stack grew to a megabyte; the collector halves it again and moves what is on it.
func shrunk(i int) {
	object := onStack{a: pointer(i)}
	object.b = &object
	deep(1000)
	block()
	touch(object.b)
}

func interfaceOnStack(i int) {
	var x any = i * 1000
	var y any = wide{byte(i)}
	var z interface{ add(int) int } = &counter{n: i}
	block()
	sink(x)
	sink(y)
	z.add(1)
}

func dynamicObjects(i int) {
	slice := make([]*int, 0, 20)
	local := map[int]*int{}
	for j := 0; j < 5; j++ {
		slice = append(slice, pointer(j))
		local[j] = pointer(j)
	}
	buffer := make([]byte, 64)
	name := string(buffer[:i])
	grow := func() { slice = append(slice, pointer(i)) }
	block()
	grow()
	sink(name)
	*local[1] += *slice[0] + rand.Int()
}

//go:noinline
func manyResults(i int) (a *int, b string, c []*int, d any, e error, f map[int]*int) {
	a = pointer(i)
	defer func() { b = text(i) }()
	c = append(c, pointer(i))
	block()
	return a, b, c, nil, nil, nil
}

func results(i int) {
	a, b, c, d, _, _ := manyResults(i)
	runtime.KeepAlive(a)
	sink(b)
	sink(c)
	sink(d)
}

//go:noinline
func arguments(a *int, b string, c []*int, d *resource, e *wide, f int, g float64, h string, i *int) {
	sink(a)
	block()
	sink(b)
	sink(h)
	*i += f + int(g)
	d.id++
}
