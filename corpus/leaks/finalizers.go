package main

import (
	"os"
	"runtime"
	"time"
)

func init() {
	pair("finalizer-cycle", tieCycles, nil)
	pair("finalizer-self", captureSelf, nil)
	pair("finalizer-waits", waitForFinalizer, nil)
	pair("finalizer-janitor", sweepUntilFinalized, nil)
	leaks["finalizer-blocked"] = leak{build: blockFinalizer}
	healthy("finalizers-live", keepFiles)
	healthy("finalizer-stops", keepAgents)
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

type agent struct {
	state []byte
	stop  chan struct{}
}

func newAgent() *agent {
	a := &agent{state: body(64 << 10), stop: make(chan struct{})}
	runtime.SetFinalizer(a, func(a *agent) { close(a.stop) })
	return a
}

// The goroutine waits for the finalizer of what it keeps itself.
func waitForFinalizer(cured bool) {
	for i := 0; i < 50; i++ {
		a := newAgent()
		stop := a.stop
		if cured {
			spawn(func() { hold(func() { <-stop }) })
		} else {
			spawn(func() {
				<-a.stop
				length += len(a.state)
			})
		}
	}
}

// The same with something to do now and then.
func sweepUntilFinalized(cured bool) {
	for i := 0; i < 50; i++ {
		a := newAgent()
		state, stop := &a.state, a.stop
		if cured {
			state = &[]byte{0}
		}
		spawn(func() {
			ticker := time.NewTicker(time.Hour)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					(*state)[0]++
				case <-stop:
					return
				}
			}
		})
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
	agents   []*agent
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

// Only the finalizer of each can stop its goroutine, and will, once it is dropped.
func keepAgents() {
	for i := 0; i < 50; i++ {
		a, stop := &agent{state: body(64 << 10)}, make(chan struct{})
		runtime.SetFinalizer(a, func(*agent) { close(stop) })
		spawn(func() { hold(func() { <-stop }) })
		agents = append(agents, a)
	}
}

// Without finalizers cycles are no matter.
func dropCycles() {
	for i := 0; i < 1000; i++ {
		a, b := &peer{}, &peer{}
		a.other, b.other = b, a
	}
}
