// A program whose memory is of one kind, and which says what its own runtime counts.
//
//	ledger slices
//
// It prints "ready heap_alloc=... pinned=... spare=..." when it is set up, and again for each line that it reads.
// pinned and spare are what it means to waste. It collects no more once it is ready.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"settled"
	"strings"
)

var (
	pinned, spare uint64

	kept   []any
	heads  = map[int][]byte{}
	names  []string
	counts = map[int]int{}
	stop   = make(chan bool)
)

const size = 64 << 10

// Each keeps 100 of 64 KiB: the first ones may be grown again, the others nobody can see any more.
func slices() {
	for i := 0; i < 200; i++ {
		body := make([]byte, size)
		for j := range body {
			body[j] = byte(j)
		}
		if i%2 == 0 {
			heads[i] = body[:100]
			spare += size - 100
		} else {
			heads[i] = body[1000:1100:1100]
			pinned += size - 100
		}
	}
	line := strings.Repeat("x", size)
	for i := 0; i < 50; i++ {
		text := strings.Replace(line, "x", fmt.Sprint(i), 1)
		names = append(names, text[10:20])
		pinned += uint64(cap(append([]byte(nil), text...))) - 10
	}
}

func maps() {
	for i := 0; i < 1000000; i++ {
		counts[i] = i
	}
	for i := 1000; i < 1000000; i++ {
		delete(counts, i)
	}
}

func objects() {
	type order struct {
		next  *order
		items [5]int64
	}
	var last *order
	for i := 0; i < 1000000; i++ {
		last = &order{next: last}
	}
	kept = append(kept, last)
}

func garbage() {
	for i := 0; i < 1000; i++ {
		kept = append(kept, []byte(strings.Repeat("x", 100<<10)))
	}
	kept = kept[:10]
	clear := kept[10:cap(kept)]
	for i := range clear {
		clear[i] = nil
	}
}

func idle() {
	garbage()
	runtime.GC()
}

func deep(n int) byte {
	var frame [256]byte
	if n == 0 {
		<-stop
		return frame[0]
	}
	return deep(n-1) + frame[n]
}

func stacks() {
	for i := 0; i < 2000; i++ {
		go deep(50)
	}
	for i := 0; i < 100; i++ {
		runtime.Gosched()
	}
}

var shapes = map[string]func(){
	"slices": slices, "maps": maps, "objects": objects, "garbage": garbage, "idle": idle, "stacks": stacks,
}

var stats runtime.MemStats

func main() {
	shape := shapes[os.Args[1]]
	if shape == nil {
		fmt.Fprintln(os.Stderr, "no shape called", os.Args[1])
		os.Exit(2)
	}
	settled.StartThreads()
	runtime.MemProfileRate = 1
	runtime.GC()
	debug.SetGCPercent(-1)
	shape()
	if os.Args[1] != "garbage" {
		runtime.GC()
		runtime.GC()
	}
	// Room for all that is printed, so that printing takes no memory.
	line := make([]byte, 0, 4096)
	input := make([]byte, 1)
	for {
		runtime.ReadMemStats(&stats)
		line = line[:0]
		for _, pair := range [...]struct {
			name  string
			value uint64
		}{
			{"ready heap_alloc", stats.HeapAlloc}, {" heap_inuse", stats.HeapInuse}, {" heap_idle", stats.HeapIdle},
			{" heap_released", stats.HeapReleased}, {" pinned", pinned}, {" spare", spare},
		} {
			line = append(append(append(line, pair.name...), '='), decimal(pair.value)...)
		}
		os.Stdout.Write(append(line, '\n'))
		if n, err := os.Stdin.Read(input); n == 0 || err != nil {
			return
		}
	}
}

var digits [20]byte

func decimal(value uint64) []byte {
	at := len(digits)
	for {
		at--
		digits[at] = byte('0' + value%10)
		if value /= 10; value == 0 {
			return digits[at:]
		}
	}
}
