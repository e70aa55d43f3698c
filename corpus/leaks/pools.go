package main

import (
	"bytes"
	"sync"
)

func init() {
	inUse := func(name string, use func()) { leaks[name] = leak{build: use, use: use} }
	inUse("pool-oversize", func() { returnBuffers(1 << 30) })
	inUse("pool-oversize-cured", func() { returnBuffers(64 << 10) })
	inUse("pool-in-use", useSmallPool)
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

// ---- healthy

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
