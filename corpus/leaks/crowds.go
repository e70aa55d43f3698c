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
	pair("answers-awaited", awaitAnswers, nil)
	pair("slots-lost", loseSlots, nil)
	pair("pending-answers", forgetAnswers, func() { pending = map[string]chan []byte{} })
	healthy("senders-polled", pollSenders)
	pair("results-unread", postResults, func() {
		for len(results) > 0 {
			<-results
		}
	})
	healthy("buffer-channel", keepBuffers)
	healthy("frames-recycled", recycleFrames)
	healthy("jobs-pulled", queueJobs)
	healthy("outbox-flushed", fillOutbox)
	healthy("parts-pulled", stockParts)
	healthy("workers-called", startWorkers)
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

// Eleven hundred wait for an answer that no code sends.

var answersToAll = make(chan int)

func awaitAnswers(cured bool) {
	count := 1100
	if cured {
		count = 3
	}
	for i := 0; i < count; i++ {
		spawn(func() { length += <-answersToAll })
	}
	time.Sleep(50 * time.Millisecond)
}

// Eight may at a time; those eight wait for ever.

var slots = make(chan int, 8)

func loseSlots(cured bool) {
	for i := 0; i < 300; i++ {
		spawn(func() {
			answer := make(chan int)
			if cured {
				close(answer)
			}
			hold(func() { slots <- i })
			<-answer
			<-slots
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

// Who posts looks whether it is time to stop; nobody reads.

var (
	results = make(chan []byte, 200)
	stopped = make(chan struct{})
)

//go:noinline
func postResult(result []byte) {
	select {
	case <-stopped:
		return
	default:
	}
	results <- result
}

func postResults(cured bool) {
	for i := 0; i < 100; i++ {
		postResult(body(64 << 10))
	}
	if cured {
		spawn(func() {
			for result := range results {
				length += len(result)
			}
		})
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

// Nobody is there between two requests, which come as they like; each takes from the channel what it finds.

var freeFrames = make(chan *[64 << 10]byte, 200)

//go:noinline
func takeFrame() *[64 << 10]byte {
	select {
	case frame := <-freeFrames:
		return frame
	default:
		return new([64 << 10]byte)
	}
}

func recycleFrames() {
	var frames [100]*[64 << 10]byte
	for i := range frames {
		frames[i] = takeFrame()
	}
	for _, frame := range frames {
		freeFrames <- frame
	}
}

// Each request takes one, and would wait for it.

var pulled = make(chan []byte, 200)

//go:noinline
func pullJob() []byte {
	return <-pulled
}

func queueJobs() {
	for i := 0; i < 101; i++ {
		pulled <- body(64 << 10)
	}
	length += len(pullJob())
}

// The same of a channel that has no variable of its own.

type spool struct {
	name  string
	lines chan []byte
}

var flushing = &spool{name: "flushing", lines: make(chan []byte, 200)}

//go:noinline
func (s *spool) flush() {
	for {
		select {
		case line := <-s.lines:
			length += len(line)
		default:
			return
		}
	}
}

//go:noinline
func flushOutbox() {
	flushing.flush()
}

func fillOutbox() {
	flushOutbox()
	for i := 0; i < 100; i++ {
		flushing.lines <- body(64 << 10)
	}
}

// The same with a way out.

var (
	parts      = make(chan []byte, 200)
	partsEnded = make(chan struct{})
)

//go:noinline
func pullPart() []byte {
	select {
	case part := <-parts:
		return part
	case <-partsEnded:
		return nil
	}
}

func stockParts() {
	for i := 0; i < 101; i++ {
		parts <- body(64 << 10)
	}
	length += len(pullPart())
}

// More workers than there is work for. It comes with requests, of which there is none just now.

var workForMany = make(chan int)

//go:noinline
func giveWork(work int) {
	workForMany <- work
}

func startWorkers() {
	for i := 0; i < 1100; i++ {
		spawn(func() {
			scratch := body(8 << 10)
			for work := range workForMany {
				scratch[work&7]++
			}
		})
	}
	for i := 0; i < 10; i++ {
		giveWork(i)
	}
	time.Sleep(50 * time.Millisecond)
}
