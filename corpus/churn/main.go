// Churn changes what is reachable all the time, in every way that tests a collector or somebody who says what it will
// do: pointers move between the heap, stacks, registers, channels and C while the stacks grow, shrink and vanish.
// Nothing has a finalizer, and nothing dead comes back to life.
//
// It prints "ready" and collects each time it reads a byte; end of file ends it. Left alone, it collects only when it
// has too much. Beside the churn lies a list of main.keeper objects that lives for ever.
package main

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

const magic = 0x6b656570657221

type keeper struct {
	magic uint64
	next  *keeper
	body  [10]*uint64
}

type node struct {
	left, right *node
	value       [3]*int
}

type wide struct{ a, b, c, d, e, f, g, h *node }

var (
	keepers *keeper
	shelf   [4096]*node
	pairs   [512]wide
	mutex   sync.Mutex
	workers = map[string]func(){}
)

func tree(depth int) *node {
	n := &node{}
	n.value[depth%3] = new(int)
	if depth > 0 {
		n.left, n.right = tree(depth-1), tree(depth-1)
	}
	return n
}

// pause lets others run and keeps the allocation rate where a capture can follow.
func pause(i int) {
	if i%16 == 0 {
		time.Sleep(time.Millisecond)
	}
}

var sinks [64]uint64

func init() {
	workers["spin"] = func() { // follows pointers without a call: they are in registers only
		for {
			mutex.Lock()
			n := shelf[sinks[0]%64]
			mutex.Unlock()
			for j := 0; j < 100000; j++ {
				for m := n; m != nil; m = m.left {
					sinks[0]++
				}
			}
		}
	}
	workers["shelf"] = func() {
		for i := 0; ; i++ {
			n := tree(3)
			mutex.Lock()
			shelf[i*7%len(shelf)], n.left.left = n, shelf[i*13%len(shelf)]
			if i%5 == 0 {
				n.left.left = nil
			}
			mutex.Unlock()
			pause(i)
		}
	}
	workers["copies"] = func() { // wide values through vector registers and memmove
		local := make([]wide, 64)
		for i := 0; ; i++ {
			w := wide{a: tree(1), c: tree(0), h: tree(1)}
			local[i%64] = w
			copy(local[1:], local)
			pairs[i%len(pairs)], pairs[(i*31)%len(pairs)] = local[(i+1)%64], w
			pause(i)
		}
	}
	workers["grow"] = func() { // stacks that grow, are copied, shrink
		for i := 0; ; i++ {
			done := make(chan *node)
			go func() { done <- deep(i%200, tree(1), nil) }()
			shelf[2048+i%64] = <-done
			pause(i * 8)
		}
	}
	workers["leftovers"] = func() { // each is preempted with its predecessor's pointers still in its frame
		for {
			done := make(chan *node)
			go func() {
				for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
					for j := 0; j < 10000000; j++ {
						sinks[3]++
					}
				}
				done <- tree(1)
			}()
			<-done
		}
	}
	workers["channels"] = func() {
		requests, replies := make(chan *node, 8), make(chan wide)
		for k := 0; k < 4; k++ {
			go func() {
				for n := range requests {
					select {
					case replies <- wide{b: n}:
					case <-time.After(time.Millisecond):
					}
				}
			}()
		}
		for i := 0; ; i++ {
			select {
			case requests <- tree(1):
			case w := <-replies:
				shelf[3000+i%64] = w.b.right
			}
			pause(i)
		}
	}
	workers["maps"] = func() {
		type key struct{ p *int }
		m := map[string]*node{}
		byPointer := map[key]wide{}
		for i := 0; ; i++ {
			m[fmt.Sprint("key ", i%1000)] = tree(1)
			delete(m, fmt.Sprint("key ", i*37%1000))
			k := key{new(int)}
			byPointer[k] = wide{d: tree(0)}
			if len(byPointer) > 500 {
				byPointer = map[key]wide{k: byPointer[k]}
			}
			pause(i)
		}
	}
	workers["defers"] = func() {
		for i := 0; ; i++ {
			shelf[3500+i%64] = recovered(i)
			pause(i)
		}
	}
	workers["reflects"] = func() {
		f := reflect.MakeFunc(reflect.TypeOf(func(*node, wide) *node { return nil }),
			func(args []reflect.Value) []reflect.Value {
				shelf[3600] = args[1].Interface().(wide).e
				return []reflect.Value{args[0]}
			}).Interface().(func(*node, wide) *node)
		for i := 0; ; i++ {
			shelf[3601+i%8] = f(tree(1), wide{e: tree(0)})
			method := reflect.ValueOf(tree(1)).Method(0).Interface().(func(int) *node)
			shelf[3611+i%8] = method(i)
			pause(i)
		}
	}
	workers["strings"] = func() {
		var parts []string
		for i := 0; ; i++ {
			parts = append(parts, strings.Repeat("x", i%300))
			if len(parts) > 200 {
				sort.Strings(parts)
				sinks[1] += uint64(len(strings.Join(parts, ",")))
				parts = nil
			}
			pause(i)
		}
	}
	workers["pools"] = func() {
		pool := sync.Pool{New: func() any { return tree(2) }}
		for i := 0; ; i++ {
			n := pool.Get().(*node)
			n.left = tree(0)
			pool.Put(n)
			pause(i)
		}
	}
	workers["large"] = func() {
		ring := make([][]*node, 8)
		for i := 0; ; i++ {
			ring[i%8] = append(make([]*node, 0, 5000+i%3000), tree(1))
			time.Sleep(5 * time.Millisecond)
		}
	}
	workers["syscalls"] = func() {
		fd, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
		if err != nil {
			panic(err)
		}
		for i := 0; ; i++ {
			held := tree(1)
			syscall.Read(fd, make([]byte, 200))
			shelf[3700+i%8] = held.left
			pause(i)
		}
	}
	workers["clock"] = func() { // the vdso, on the thread's own stack
		for i := 0; ; i++ {
			held := tree(0)
			for k := 0; k < 1000; k++ {
				sinks[2] += uint64(time.Now().Nanosecond())
			}
			shelf[3710+i%8] = held
		}
	}
}

func (n *node) Method(i int) *node {
	shelf[3630] = n.left
	return n.right
}

//go:noinline
func deep(depth int, n *node, above **node) *node {
	var here [8]*node
	here[depth%8] = n
	if depth > 0 {
		here[(depth+1)%8] = deep(depth-1, tree(0), &here[depth%8])
	}
	if above != nil && *above == nil {
		return nil
	}
	return here[depth%8]
}

func recovered(i int) (result *node) {
	held := tree(1)
	defer func() {
		if n, ok := recover().(*node); ok {
			held.left = n
		}
		result = held
	}()
	for k := 0; k < i%3; k++ {
		defer func(n *node) { held.right = n }(tree(0))
	}
	if i%2 == 0 {
		panic(tree(1))
	}
	var nothing *wide
	return nothing.a
}

func main() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	runtime.GOMAXPROCS(4)
	for i := 0; i < 100000; i++ {
		keepers = &keeper{magic: magic, next: keepers}
		keepers.body[i%10] = new(uint64)
	}
	for name := range workers {
		go workers[name]()
	}
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	fmt.Printf("ready pid=%d\n", os.Getpid())
	var input [1]byte
	for {
		if n, _ := os.Stdin.Read(input[:]); n != 1 {
			return
		}
		runtime.GC()
	}
}
