// A program that only holds memory, in one of several shapes, and says what its own collector takes for it.
//
//	load -shape mixed -mb 1024
//
// It prints one line of JSON when it is ready and another one for each line it reads from standard input, each after
// a few collections: {"heap_bytes", "objects", "goroutines", "gc_ms", "gc_cpu_ms"}: the median of the
// collections' wall times, and of the processor time that the whole process took meanwhile.
package main

import (
	"bufio"
	"container/list"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

// Everything that is held hangs here.
var held []any

type address struct {
	street, city string
	zip          int32
}

type order struct {
	id    int64
	items []item
	to    *address
	notes map[string]string
	body  []byte
}

type item struct {
	name  string
	price float64
	tags  []string
}

type tree struct {
	left, right *tree
	key         int
	value       any
}

type node struct {
	next *node
	body [5]int64
}

type shape interface{ area() float64 }
type square struct{ side float64 }
type circle struct {
	radius float64
	label  *string
}

func (s *square) area() float64 { return s.side * s.side }
func (c *circle) area() float64 { return c.radius * c.radius * 3 }

func grow(t *tree, depth int) *tree {
	if depth == 0 {
		return nil
	}
	n := depth * 7919
	return &tree{grow(t, depth-1), grow(t, depth-1), n, fmt.Sprint("leaf ", n)}
}

// Written to, so that it is really in memory.
func body(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func makeOrder(i int, shared []*address) *order {
	o := &order{id: int64(i), to: shared[i%len(shared)], body: body(200 + i*37%1400)}
	for k := 0; k < 3; k++ {
		o.items = append(o.items, item{fmt.Sprintf("item %d of %d", k, i), float64(k), []string{"new", "red"}})
	}
	if i%4 == 0 {
		o.notes = map[string]string{"gift": fmt.Sprint("wrap ", i), "when": "soon"}
	}
	return o
}

// One piece of each kind; some 9 MB.
func mixedPiece(seed int, shared []*address) []any {
	orders := make(map[int]*order)
	index := make(map[string]*order)
	for i := 0; i < 4000; i++ {
		o := makeOrder(seed*4000+i, shared)
		orders[i] = o
		index[fmt.Sprintf("order-%d-%d", seed, i)] = o
	}
	queue := list.New()
	for i := 0; i < 2000; i++ {
		queue.PushBack(fmt.Sprint("job ", i))
	}
	var shapes []shape
	label := strings.Repeat("o", 20)
	for i := 0; i < 3000; i++ {
		shapes = append(shapes, &square{float64(i)})
		shapes = append(shapes, &circle{float64(i), &label})
	}
	var bodies [][]byte
	for i := 0; i < 200; i++ {
		bodies = append(bodies, body(1000+i*37%8000))
	}
	results := make(chan *item, 500)
	for i := 0; i < 400; i++ {
		results <- &item{name: fmt.Sprint("result ", i)}
	}
	var callbacks []func() int
	for i := 0; i < 1000; i++ {
		i, text := i, fmt.Sprint("callback ", i)
		callbacks = append(callbacks, func() int { return i + len(text) })
	}
	var chain *node
	for i := 0; i < 2000; i++ {
		chain = &node{next: chain}
	}
	return []any{orders, index, queue, shapes, bodies, results, callbacks, chain, grow(nil, 11)}
}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mixed(megabytes int) {
	shared := make([]*address, 1000)
	for i := range shared {
		shared[i] = &address{fmt.Sprint("street ", i), "city", int32(i)}
	}
	for seed := 0; heapBytes() < uint64(megabytes)<<20; seed++ {
		for i := 0; i < 8; i++ {
			held = append(held, mixedPiece(seed*8+i, shared))
		}
		runtime.GC()
	}
}

// A linked list through memory in random order: every step of a collector waits for memory.
func shuffled(megabytes int) {
	nodes := make([]*node, megabytes<<20/48)
	for i := range nodes {
		nodes[i] = new(node)
	}
	random := uint64(88172645463325252)
	for i := len(nodes) - 1; i > 0; i-- {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		j := int(random % uint64(i+1))
		nodes[i], nodes[j] = nodes[j], nodes[i]
	}
	for i := 1; i < len(nodes); i++ {
		nodes[i-1].next = nodes[i]
	}
	held = append(held, nodes[0])
}

// Many objects, 104 bytes each on the average, in the order of their allocation.
func big(megabytes int) {
	for total := 0; total < megabytes<<20; {
		table := make([]*tree, 10000)
		for i := range table {
			t := &tree{key: i}
			t.left = &tree{key: i, value: body(128)}
			if i > 0 {
				t.right = table[i-1]
			}
			table[i] = t
			total += 2*48 + 128 + 24 + 8
		}
		held = append(held, table)
	}
}

func goroutines(count int) {
	stop := make(chan bool)
	held = append(held, stop)
	for i := 0; i < count; i++ {
		started := make(chan bool)
		go func(i int) {
			request := &order{id: int64(i)}
			buffer := make([]byte, 200)
			started <- true
			<-stop
			fmt.Println(request.id, len(buffer))
		}(i)
		<-started
	}
}

type figures struct {
	HeapBytes  uint64  `json:"heap_bytes"`
	Objects    uint64  `json:"objects"`
	Goroutines int     `json:"goroutines"`
	GcMs       float64 `json:"gc_ms"`
	GcCPUMs    float64 `json:"gc_cpu_ms"`
}

func processorMs() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
}

func report() {
	var times, processor []float64
	for i := 0; i < 5; i++ {
		start, before := time.Now(), processorMs()
		runtime.GC()
		times = append(times, float64(time.Since(start).Microseconds())/1000)
		processor = append(processor, processorMs()-before)
	}
	sort.Float64s(times)
	sort.Float64s(processor)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	json.NewEncoder(os.Stdout).Encode(figures{m.HeapAlloc, m.HeapObjects, runtime.NumGoroutine(), times[len(times)/2], processor[len(processor)/2]})
}

func main() {
	kind := flag.String("shape", "mixed", "mixed, shuffled, big, goroutines")
	megabytes := flag.Int("mb", 1024, "megabytes to hold")
	count := flag.Int("count", 100000, "goroutines to start")
	flag.Parse()
	switch *kind {
	case "mixed":
		mixed(*megabytes)
	case "shuffled":
		shuffled(*megabytes)
	case "big":
		big(*megabytes)
	case "goroutines":
		goroutines(*count)
	default:
		fmt.Fprintln(os.Stderr, "load: unknown shape", *kind)
		os.Exit(2)
	}
	runtime.GC()
	report()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		report()
	}
	runtime.KeepAlive(held)
}
