package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"sync"
)

func init() {
	inUse := func(name string, use func()) { leaks[name] = leak{build: use, use: use} }
	// What is used is collected at once, so that the heap is what the pool holds; with the remedy it is used as its twin is.
	collected := func(name string, use func(cured bool)) {
		leaking := func() { use(false); runtime.GC() }
		cured := func() { use(true); runtime.GC() }
		leaks[name] = leak{build: leaking, use: leaking, cured: cured}
		leaks[name+"-cured"] = leak{build: cured, use: cured}
	}
	inUse("pool-oversize", func() { returnBuffers(1 << 30) })
	inUse("pool-oversize-cured", func() { returnBuffers(64 << 10) })
	inUse("pool-dirty", func() { returnTasks(false) })
	inUse("pool-dirty-cured", func() { returnTasks(true) })
	inUse("pool-uneven", func() { returnPackets(1 << 30) })
	inUse("pool-uneven-cured", func() { returnPackets(4096) })
	collected("pool-unreset", returnContexts)
	collected("pool-full", returnReports)
	inUse("pool-in-use", useSmallPool)
	inUse("pool-workers", useWorkers)
	inUse("pool-compressors", compress)
	inUse("pool-by-size", useSizes)
	inUse("pool-fixed", useFixedPool)
}

// One big answer, and the buffer it needed goes back into the pool with the others.

var buffers = sync.Pool{New: func() interface{} { return new(bytes.Buffer) }}

var answer = body(mib / 2)

func returnBuffers(limit int) {
	var taken []*bytes.Buffer
	for i := 0; i < 24; i++ {
		b := buffers.Get().(*bytes.Buffer)
		if i%2 == 0 {
			b.Write(answer)
		} else {
			b.Write(answer[:1000])
		}
		taken = append(taken, b)
	}
	for _, b := range taken {
		if b.Cap() <= limit {
			b.Reset()
			buffers.Put(b)
		}
	}
}

// What was put back still knows its last callback, and what that captured.

type task struct {
	id   int
	done func() int
}

var taskPool = sync.Pool{New: func() interface{} { return new(task) }}

func returnTasks(cured bool) {
	var taken []*task
	for i := 0; i < 16; i++ {
		t := taskPool.Get().(*task)
		state := body(256 << 10)
		t.done = func() int { return int(state[0]) }
		taken = append(taken, t)
	}
	for _, t := range taken {
		if cured {
			t.done = nil
		}
		taskPool.Put(t)
	}
}

// Some packets were big, and their buffers are put back full.

type packet struct{ data []byte }

var packets = sync.Pool{New: func() interface{} { return new(packet) }}

func returnPackets(limit int) {
	var taken []*packet
	for i := 0; i < 40; i++ {
		p := packets.Get().(*packet)
		if p.data == nil {
			p.data = body(1024)
			if i%4 == 0 {
				p.data = body(mib / 2)
			}
		}
		taken = append(taken, p)
	}
	for _, p := range taken {
		if len(p.data) <= limit {
			packets.Put(p)
		}
	}
}

// A request's context goes back with the request in it.

type profile struct {
	name  string
	photo [16<<10 - 64]byte
}

type requestContext struct {
	path string
	body []byte
	user *profile
}

var contexts = sync.Pool{New: func() interface{} { return new(requestContext) }}

func returnContexts(cured bool) {
	var taken []*requestContext
	for i := 0; i < 48; i++ {
		c := contexts.Get().(*requestContext)
		c.path = fmt.Sprintf("/profiles/%d/photo", i)
		c.body = body(48 << 10)
		c.user = &profile{name: c.path}
		taken = append(taken, c)
	}
	for _, c := range taken {
		if cured {
			*c = requestContext{}
		}
		contexts.Put(c)
	}
}

// Reset before use, not before Put: the year's reports are still in the buffers that a line is enough for on other days.

var yearly = sync.Pool{New: func() interface{} { return new(bytes.Buffer) }}

func returnReports(cured bool) {
	var taken []*bytes.Buffer
	for i := 0; i < 12; i++ {
		b := yearly.Get().(*bytes.Buffer)
		b.Reset()
		if i%3 == 0 {
			b.Write(answer[:200])
		} else {
			b.Write(answer)
		}
		taken = append(taken, b)
	}
	for _, b := range taken {
		if !cured || b.Cap() <= 64<<10 {
			yearly.Put(b)
		}
	}
}

// ---- healthy

type worker struct {
	kind  string
	block []byte // always as long as it is
	line  []byte
}

var workers = sync.Pool{New: func() interface{} {
	return &worker{kind: "worker", block: body(96 << 10)}
}}

// What they keep is theirs: a text of the program, blocks, and what was emptied before it went back.
func useWorkers() {
	var taken []*worker
	for i := 0; i < 20; i++ {
		w := workers.Get().(*worker)
		w.line = append(w.line, answer[:60<<10]...)
		taken = append(taken, w)
	}
	for _, w := range taken {
		w.line = w.line[:0]
		workers.Put(w)
	}
}

var compressors = sync.Pool{New: func() interface{} { return gzip.NewWriter(io.Discard) }}

// Large by design.
func compress() {
	var taken []*gzip.Writer
	for i := 0; i < 8; i++ {
		w := compressors.Get().(*gzip.Writer)
		w.Reset(io.Discard)
		w.Write(answer)
		w.Close()
		taken = append(taken, w)
	}
	for _, w := range taken {
		compressors.Put(w)
	}
}

var smallBuffers = sync.Pool{New: func() interface{} { b := make([]byte, 4096); return &b }}

func useSmallPool() {
	var taken []*[]byte
	for i := 0; i < 300; i++ {
		taken = append(taken, smallBuffers.Get().(*[]byte))
	}
	for _, b := range taken {
		smallBuffers.Put(b)
	}
}

var blocks = sync.Pool{New: func() interface{} { return new([128 << 10]byte) }}

// All of one size, by design.
func useFixedPool() {
	var taken []*[128 << 10]byte
	for i := 0; i < 6; i++ {
		taken = append(taken, blocks.Get().(*[128 << 10]byte))
	}
	for _, b := range taken {
		blocks.Put(b)
	}
}

var sizes = [3]sync.Pool{}

// A pool for each size: what is in one is of that size, and empty.
func useSizes() {
	for i := range sizes {
		var taken []*[]byte
		for k := 0; k < 20; k++ {
			b, _ := sizes[i].Get().(*[]byte)
			if b == nil {
				made := make([]byte, 0, 4000<<(3*i))
				b = &made
			}
			taken = append(taken, b)
		}
		for _, b := range taken {
			sizes[i].Put(b)
		}
	}
}
