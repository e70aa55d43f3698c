package main

import (
	"context"
	"time"
)

func init() {
	pair("tickers", startTickers, nil)
	pair("after-func", scheduleLater, nil)
	pair("context-children", deriveContexts, func() { endServer() })
	pair("context-timeouts", setTimeouts, nil)
	healthy("timers-few", keepTimers)
	healthy("contexts-live", keepContexts)
}

// Up to go 1.22, and up to 1.26 where go.mod asks for older behaviour (this one does), a ticker that was not stopped is
// there for good.
func startTickers(cured bool) {
	for i := 0; i < 20000; i++ {
		t := time.NewTicker(time.Hour)
		if cured {
			t.Stop()
		}
	}
}

// A timeout for each request, long after the request: what its function captured waits with it.
func scheduleLater(cured bool) {
	for i := 0; i < 5000; i++ {
		state := body(2000)
		t := time.AfterFunc(10*time.Hour, func() { length += len(state) })
		if cured {
			t.Reset(time.Millisecond)
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// Every request derives a context from the server's, and none is cancelled.

var server, endServer = context.WithCancel(context.Background())

func deriveContexts(cured bool) {
	for i := 0; i < 40000; i++ {
		_, cancel := context.WithCancel(server)
		if cured {
			cancel()
		}
	}
}

func setTimeouts(cured bool) {
	for i := 0; i < 20000; i++ {
		_, cancel := context.WithTimeout(context.Background(), 10*time.Hour)
		if cured {
			cancel()
		}
	}
}

// ---- healthy

var timers []*time.Timer

func keepTimers() {
	for i := 0; i < 200; i++ {
		timers = append(timers, time.AfterFunc(time.Hour, func() { length++ }))
	}
}

var cancels []context.CancelFunc

func keepContexts() {
	for i := 0; i < 200; i++ {
		ctx, cancel := context.WithCancel(server)
		cancels = append(cancels, cancel)
		spawn(func() { <-ctx.Done() })
	}
}
