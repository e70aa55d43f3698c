package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func init() {
	pair("abandoned-send", abandonSenders, nil)
	pair("abandoned-range", abandonReaders, nil)
	pair("abandoned-select", abandonSelects, nil)
	pair("abandoned-question", forwardQuestions, nil)
	pair("nil-channel", waitOnNil, nil)
	pair("lost-mutex", loseMutex, nil)
	pair("lost-waitgroup", loseWaitGroup, nil)
	pair("lost-cond", loseCond, nil)
	pair("heartbeat", beat, nil)
	pair("never-drained", fillChannel, func() {
		for len(events) > 0 {
			<-events
		}
	})

	pair("backed-up", backUp, nil)
	pair("slow-receiver", queueUp, nil)
	pair("backed-up-lost", backUpLost, nil)

	healthy("workers-idle", idleWorkers)
	healthy("workers-cond", condWorkers)
	healthy("worker-group", waitForGroup)
	healthy("pipeline", buildPipeline)
	healthy("channel-drained", drainChannel)
	healthy("channel-unreachable", dropChannel)
	healthy("select-default", pollChannel)
	healthy("signal-waiter", waitForSignal)
	healthy("ticker-loop", tickInUse)
	healthy("context-loop", serveContext)
	healthy("mutex-contended", contend)
	healthy("sleepers", sleepLong)
	healthy("timeouts-pending", waitNotTooLong)
	healthy("semaphore-channel", limitWorkers)
}

// hold keeps 64 KiB of the goroutine's own until it ends. (What a blocked goroutine will not look at again is no root.)
func hold(wait func()) {
	own := body(64 << 10)
	wait()
	length += int(own[0])
}

// The one who asked has left, and the answer has nowhere to go.
func abandonSenders(cured bool) {
	for i := 0; i < 50; i++ {
		room := 0
		if cured {
			room = 1
		}
		answer := make(chan []byte, room)
		spawn(func() { answer <- body(64 << 10) })
	}
	time.Sleep(50 * time.Millisecond)
}

// The reader waits for a stream that nobody will ever close.
func abandonReaders(cured bool) {
	for i := 0; i < 50; i++ {
		stream := make(chan string)
		spawn(func() {
			hold(func() {
				for message := range stream {
					length += len(message)
				}
			})
		})
		if cured {
			close(stream)
		}
	}
	time.Sleep(50 * time.Millisecond)
}

func abandonSelects(cured bool) {
	for i := 0; i < 50; i++ {
		in, done := make(chan int), make(chan struct{})
		spawn(func() {
			hold(func() {
				select {
				case n := <-in:
					length += n
				case <-done:
				}
			})
		})
		if cured {
			close(done)
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// Only the head of the question is passed on; nobody will answer. What the head keeps goes when the goroutine does.

type forwarded struct {
	head   []byte
	answer chan []byte
}

func forwardQuestions(cured bool) {
	for i := 0; i < 50; i++ {
		question := &forwarded{body(64 << 10)[:8:8], make(chan []byte)}
		spawn(func() {
			answer := <-question.answer
			length += len(answer) + len(question.head)
		})
		if cured {
			close(question.answer)
		}
	}
	time.Sleep(50 * time.Millisecond)
}

func waitOnNil(cured bool) {
	for i := 0; i < 50; i++ {
		var stop chan struct{}
		if cured {
			stop = make(chan struct{})
			close(stop)
		}
		spawn(func() { hold(func() { <-stop }) })
	}
	time.Sleep(50 * time.Millisecond)
}

// Locked, and never unlocked by the one who returned early.
func loseMutex(cured bool) {
	for i := 0; i < 50; i++ {
		lock := &sync.Mutex{}
		lock.Lock()
		spawn(func() { hold(lock.Lock) })
		if cured {
			lock.Unlock()
		}
	}
	time.Sleep(50 * time.Millisecond)
}

func loseWaitGroup(cured bool) {
	for i := 0; i < 50; i++ {
		group := &sync.WaitGroup{}
		group.Add(1)
		spawn(func() { hold(group.Wait) })
		if cured {
			group.Done()
		}
	}
	time.Sleep(50 * time.Millisecond)
}

func loseCond(cured bool) {
	for i := 0; i < 50; i++ {
		cond := sync.NewCond(&sync.Mutex{})
		done := false
		spawn(func() {
			hold(func() {
				cond.L.Lock()
				for !done {
					cond.Wait()
				}
				cond.L.Unlock()
			})
		})
		if cured {
			cond.L.Lock()
			done = true
			cond.L.Unlock()
			cond.Broadcast()
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// A heartbeat for each task, and nobody left who could end it.
func beat(cured bool) {
	for i := 0; i < 50; i++ {
		done := make(chan struct{})
		spawn(func() {
			state := body(64 << 10)
			ticker := time.NewTicker(time.Hour)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					state[0]++
				case <-done:
					return
				}
			}
		})
		if cured {
			close(done)
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// Everybody publishes, and the consumer was never started.

var events = make(chan []byte, 200)

func fillChannel(cured bool) {
	if cured {
		spawn(func() {
			for e := range events {
				length += len(e)
			}
		})
	}
	for i := 0; i < 100; i++ {
		events <- body(64 << 10)
	}
	time.Sleep(50 * time.Millisecond)
}

// The consumer has gone, the channel is full, and the producer waits.

var outbox = make(chan []byte, 100)

func backUp(cured bool) {
	if cured {
		spawn(func() {
			for e := range outbox {
				length += len(e)
			}
		})
	}
	spawn(func() {
		for i := 0; i < 101; i++ {
			outbox <- body(64 << 10)
		}
	})
	time.Sleep(50 * time.Millisecond)
}

// The same with a channel that only the producer still has: he will wait for ever.
func backUpLost(cured bool) {
	queue := make(chan []byte, 100)
	if cured {
		spawn(func() {
			for e := range queue {
				length += len(e)
			}
		})
	}
	spawn(func() {
		for i := 0; i < 101; i++ {
			queue <- body(64 << 10)
		}
	})
	time.Sleep(50 * time.Millisecond)
}

// Ten thousand want to report to one that comes by once an hour. How long they wait is known from the first collection on.
func queueUp(cured bool) {
	reports := make(chan int)
	spawn(func() {
		for {
			time.Sleep(time.Hour)
			length += <-reports
		}
	})
	count := 10000
	if cured {
		count = 20
	}
	for i := 0; i < count; i++ {
		go func() { reports <- 1 }()
	}
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	time.Sleep(6 * time.Second)
}

// ---- healthy

var jobs = make(chan func())

func idleWorkers() {
	for i := 0; i < 100; i++ {
		spawn(func() {
			own := body(32 << 10)
			for job := range jobs {
				job()
				length += int(own[0])
			}
		})
	}
}

var (
	ready     = sync.NewCond(&sync.Mutex{})
	readyJobs []func()
)

func condWorkers() {
	for i := 0; i < 100; i++ {
		spawn(func() {
			own := body(32 << 10)
			ready.L.Lock()
			for {
				for len(readyJobs) == 0 {
					ready.Wait()
				}
				length += int(own[0])
				readyJobs = readyJobs[1:]
			}
		})
	}
}

var release = make(chan struct{})

// One waits for all, all wait for a channel that can be closed.
func waitForGroup() {
	spawn(func() {
		var group sync.WaitGroup
		for i := 0; i < 50; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				hold(func() { <-release })
			}()
		}
		group.Wait()
	})
}

var source = make(chan []byte)

// Stages that know only their neighbours.
func buildPipeline() {
	in := source
	for i := 0; i < 20; i++ {
		from, to := in, make(chan []byte)
		spawn(func() {
			own := body(64 << 10)
			for b := range from {
				length += int(own[0])
				to <- b
			}
			close(to)
		})
		in = to
	}
	last := in
	spawn(func() {
		for b := range last {
			length += len(b)
		}
	})
}

var tasks = make(chan []byte, 64)

func drainChannel() {
	spawn(func() {
		for t := range tasks {
			length += len(t)
			time.Sleep(time.Hour) // a slow one
		}
	})
	for i := 0; i < 40; i++ {
		tasks <- body(16 << 10)
	}
}

// Full of data, but out of reach: the collector takes it.
func dropChannel() {
	c := make(chan []byte, 100)
	for i := 0; i < 100; i++ {
		c <- body(64 << 10)
	}
}

var updates = make(chan []byte, 4)

func pollChannel() {
	spawn(func() {
		for {
			select {
			case u := <-updates:
				length += len(u)
			default:
				time.Sleep(time.Hour)
			}
		}
	})
}

func waitForSignal() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	spawn(func() { hold(func() { <-caught }) })
}

func tickInUse() {
	for i := 0; i < 20; i++ {
		spawn(func() {
			own := body(64 << 10)
			for range time.NewTicker(time.Hour).C {
				length += int(own[0])
			}
		})
	}
}

var shutdown context.CancelFunc

func serveContext() {
	var ctx context.Context
	ctx, shutdown = context.WithCancel(context.Background())
	for i := 0; i < 50; i++ {
		child, cancel := context.WithCancel(ctx)
		spawn(func() {
			defer cancel()
			hold(func() { <-child.Done() })
		})
	}
}

var shared sync.Mutex

func contend() {
	spawn(func() {
		shared.Lock()
		time.Sleep(time.Hour)
		shared.Unlock()
	})
	for i := 0; i < 50; i++ {
		spawn(func() {
			hold(shared.Lock)
			shared.Unlock()
		})
	}
}

func sleepLong() {
	for i := 0; i < 50; i++ {
		spawn(func() { hold(func() { time.Sleep(time.Hour) }) })
	}
}

// The answer will not come, but the timeout will.
func waitNotTooLong() {
	for i := 0; i < 50; i++ {
		answer := make(chan []byte)
		spawn(func() {
			hold(func() {
				select {
				case b := <-answer:
					length += len(b)
				case <-time.After(time.Hour):
				}
			})
		})
	}
}

// Full, as it should be: the tokens are the limit.
func limitWorkers() {
	tokens := make(chan struct{}, 4)
	for i := 0; i < 20; i++ {
		spawn(func() {
			tokens <- struct{}{}
			hold(func() { time.Sleep(time.Hour) })
			<-tokens
		})
	}
}
