package main

import (
	"os"
	"runtime"
	"time"
)

func init() {
	pair("finalizer-cycle", tieCycles, nil)
	pair("finalizer-self", captureSelf, nil)
	leaks["finalizer-blocked"] = leak{build: blockFinalizer}
	healthy("finalizers-live", keepFiles)
	healthy("cycles", dropCycles)
}

type peer struct {
	other *peer
	data  [4000]byte
}

// A cycle with a finalizer is never freed.
func tieCycles(cured bool) {
	for i := 0; i < 1000; i++ {
		a, b := &peer{}, &peer{}
		a.other, b.other = b, a
		if !cured {
			runtime.SetFinalizer(a, func(*peer) {})
		}
	}
}

type handle struct {
	data [8000]byte
}

// The finalizer's closure holds what it waits for.
func captureSelf(cured bool) {
	for i := 0; i < 1000; i++ {
		h := &handle{}
		if cured {
			runtime.SetFinalizer(h, func(h *handle) { length += len(h.data) })
		} else {
			runtime.SetFinalizer(h, func(*handle) { length += int(h.data[0]) })
		}
	}
}

// The first finalizer never returns, and all the others wait for it.
func blockFinalizer() {
	runtime.SetFinalizer(&handle{}, func(*handle) { time.Sleep(time.Hour) })
	runtime.GC()
	time.Sleep(20 * time.Millisecond)
	for i := 0; i < 1000; i++ {
		runtime.SetFinalizer(&handle{}, func(h *handle) { length += len(h.data) })
	}
}

// ---- healthy

var (
	open     []*os.File
	attached []*handle
)

func keepFiles() {
	for i := 0; i < 20; i++ {
		file, err := os.Open("/dev/null")
		if err != nil {
			panic(err)
		}
		open = append(open, file)
	}
	for i := 0; i < 200; i++ {
		h := &handle{}
		runtime.SetFinalizer(h, func(h *handle) { length += len(h.data) })
		attached = append(attached, h)
	}
}

// Without finalizers cycles are no matter.
func dropCycles() {
	for i := 0; i < 1000; i++ {
		a, b := &peer{}, &peer{}
		a.other, b.other = b, a
	}
}
