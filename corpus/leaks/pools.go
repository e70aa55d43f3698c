package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"
)

func init() {
	inUse := func(name string, use func()) { leaks[name] = leak{build: use, use: use} }
	inUse("pool-oversize", func() { returnBuffers(1 << 30) })
	inUse("pool-oversize-cured", func() { returnBuffers(64 << 10) })
	inUse("pool-dirty", func() { returnTasks(false) })
	inUse("pool-dirty-cured", func() { returnTasks(true) })
	inUse("pool-uneven", func() { returnPackets(1 << 30) })
	inUse("pool-uneven-cured", func() { returnPackets(4096) })
	inUse("pool-in-use", useSmallPool)
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

// ---- healthy

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
