package main

import (
	"bytes"
	"strconv"
	"sync"
	"time"
)

// Crowds and backlogs at things that a global variable knows: nothing is proved, for somebody may still come.
func init() {
	pair("global-senders", sendToNobody, nil)
	pair("global-lock", keepLocked, nil)
	pair("pending-answers", forgetAnswers, func() { pending = map[string]chan []byte{} })
	healthy("senders-polled", pollSenders)
	healthy("buffer-channel", keepBuffers)
}

// Three hundred want to report, and whoever listened has gone.

var reportsToNobody = make(chan int)

func sendToNobody(cured bool) {
	count := 300
	if cured {
		count = 3
	}
	for i := 0; i < count; i++ {
		spawn(func() { hold(func() { reportsToNobody <- 1 }) })
	}
	time.Sleep(50 * time.Millisecond)
}

// Who locked it has returned without unlocking.

var accountsLock sync.Mutex

func keepLocked(cured bool) {
	accountsLock.Lock()
	if cured {
		accountsLock.Unlock()
	}
	for i := 0; i < 300; i++ {
		spawn(func() {
			hold(accountsLock.Lock)
			accountsLock.Unlock()
		})
	}
	time.Sleep(50 * time.Millisecond)
}

// Each request notes a channel for its answer; who gave up waiting did not take it out.

var pending = map[string]chan []byte{}

func forgetAnswers(cured bool) {
	for i := 0; i < 300; i++ {
		id := strconv.Itoa(i)
		answer := make(chan []byte, 1)
		pending[id] = answer
		answer <- body(16 << 10)
		if cured {
			delete(pending, id)
		}
	}
}

// ---- healthy

// The one who receives looks in from time to time.

var reportsPolled = make(chan int)

func pollSenders() {
	for i := 0; i < 200; i++ {
		spawn(func() { hold(func() { reportsPolled <- 1 }) })
	}
	spawn(func() {
		for {
			time.Sleep(time.Hour)
			select {
			case n := <-reportsPolled:
				length += n
			default:
			}
		}
	})
}

// A channel as a list of free buffers.

var (
	freeBuffers = make(chan *bytes.Buffer, 50)
	freeArrays  = make(chan []byte, 50)
)

func keepBuffers() {
	for i := 0; i < cap(freeBuffers); i++ {
		freeBuffers <- bytes.NewBuffer(make([]byte, 0, 64<<10))
		freeArrays <- body(32 << 10)[:0]
	}
}
