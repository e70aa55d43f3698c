package main

import (
	"context"
	"sync"
	"time"
)

func init() {
	pair("tickers", startTickers, nil)
	pair("after-func", scheduleLater, nil)
	pair("flush-later", flushLater, nil)
	pair("context-children", deriveContexts, func() { endServer() })
	pair("context-timeouts", setTimeouts, nil)
	pair("context-watched", serveConnections, nil)
	pair("logins", logIn, nil)
	pair("reports-cancelled", makeReports, nil)
	pair("sessions-ended", endSessions, nil)
	healthy("timers-few", keepTimers)
	healthy("entries-expire", expireEntries)
	healthy("contexts-live", keepContexts)
	healthy("contexts-watched-live", keepWatched)
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

// Whenever the last of several is done, a timer is started to flush what they wrote, and all these timers will do the same.

type journal struct{ written, flushed int }

func (j *journal) flush() { j.flushed = j.written }

func (j *journal) done(timer *time.Timer) {
	j.written++
	if timer != nil {
		timer.Reset(time.Hour)
		return
	}
	time.AfterFunc(time.Hour, j.flush)
}

var theJournal = &journal{}

func flushLater(cured bool) {
	var timer *time.Timer
	if cured {
		timer = time.AfterFunc(time.Hour, theJournal.flush)
	}
	for i := 0; i < 20000; i++ {
		theJournal.done(timer)
	}
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

// Who is logged in travels with the context of each request.

type rightsOf struct {
	user   string
	rights [8160]byte
}

type accountKey struct{}

func loggedIn(user string) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithValue(server, accountKey{}, &rightsOf{user: user}))
}

func logIn(cured bool) {
	for i := 0; i < 500; i++ {
		ctx, cancel := loggedIn(string(body(8)))
		length += len(ctx.Value(accountKey{}).(*rightsOf).user)
		if cured {
			cancel()
		}
	}
}

// A few, each with much.

type reportKey struct{}

func makeReports(cured bool) {
	for i := 0; i < 16; i++ {
		ctx, cancel := context.WithCancel(context.WithValue(server, reportKey{}, body(mib/4)))
		length += len(ctx.Value(reportKey{}).([]byte))
		if cured {
			cancel()
		}
	}
}

// A session ends by itself when nothing happens for a day, and nearly all end before.

type terminal struct {
	screen []byte
	closed bool
	idle   *time.Timer
}

var terminals = struct {
	sync.Mutex
	open map[int]*terminal
}{open: map[int]*terminal{}}

func startTerminal(id int) {
	s := &terminal{screen: body(128 << 10)}
	s.idle = time.AfterFunc(24*time.Hour, func() { s.closed = true })
	terminals.Lock()
	terminals.open[id] = s
	terminals.Unlock()
}

func endTerminal(id int, cured bool) {
	terminals.Lock()
	defer terminals.Unlock()
	s := terminals.open[id]
	s.closed = true
	if cured {
		s.idle.Stop()
	}
	delete(terminals.open, id)
}

func endSessions(cured bool) {
	for i := 0; i < 44; i++ {
		startTerminal(i)
		if i%11 != 0 {
			endTerminal(i, cured)
		}
	}
}

// A context of one's own: its end is that of the server that the connection came to, as fasthttp has it. context waits
// for that in a goroutine for each child.

type acceptor struct {
	done chan struct{}
}

var listening = &acceptor{done: make(chan struct{})}

type connection struct {
	context.Context
	on      *acceptor
	request []byte
}

func (c *connection) Done() <-chan struct{} { return c.on.done }

func accept() *connection {
	return &connection{context.Background(), listening, body(8192)}
}

func serveConnections(cured bool) {
	for i := 0; i < 600; i++ {
		query, cancelQuery := context.WithCancel(accept())
		_, cancelStep := context.WithCancel(query)
		_, cancelReply := context.WithTimeout(accept(), 10*time.Hour)
		if cured {
			cancelReply()
			cancelStep()
			cancelQuery()
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// ---- healthy

var timers []*time.Timer

func keepTimers() {
	for i := 0; i < 200; i++ {
		timers = append(timers, time.AfterFunc(time.Hour, func() { length++ }))
	}
}

// Each entry goes at its time, and nobody needs to stop that: the timer knows the key, and the cache has the entry.

type perishables struct {
	mutex   sync.Mutex
	entries map[int][]byte
}

func (p *perishables) put(key int, value []byte, stays time.Duration) {
	p.mutex.Lock()
	p.entries[key] = value
	p.mutex.Unlock()
	time.AfterFunc(stays, func() {
		p.mutex.Lock()
		delete(p.entries, key)
		p.mutex.Unlock()
	})
}

var fridge = &perishables{entries: map[int][]byte{}}

func expireEntries() {
	for i := 0; i < 20000; i++ {
		fridge.put(i, body(256), time.Hour+time.Duration(i)*time.Millisecond)
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

// Contexts below connections that are open: some have their cancel function in a table, some are in what a goroutine
// goes round with, and for some a goroutine only waits for their end.
func keepWatched() {
	for i := 0; i < 200; i++ {
		_, cancel := context.WithCancel(accept())
		cancels = append(cancels, cancel)
		running, stop := context.WithTimeout(accept(), 10*time.Hour)
		spawn(func() {
			defer stop()
			for running.Err() == nil {
				<-running.Done()
			}
		})
		ending, _ := context.WithTimeout(accept(), 10*time.Hour)
		spawn(func() { <-ending.Done() })
	}
}
