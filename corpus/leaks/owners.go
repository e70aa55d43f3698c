package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// Who starts a service keeps it in a local variable until it is to be shut down. Whether he is the one who could still
// receive from its channels, or unlock its locks, is told by nothing but what he will do with it.
func init() {
	pair("mails-unsent", keepMails, nil)
	pair("notes-unread", keepNotes, nil)
	pair("chunks-unstored", archiveChunks, nil)
	pair("letters-undelivered", sendLetters, nil)
	pair("frames-unwatched", film, nil)
	pair("uploads-offered", offerUploads, nil)
	pair("limit-used-up", limitCalls, nil)

	healthy("mails-flushed", flushMails)
	healthy("notes-handed-on", handOnNotes)
	healthy("notes-by-method", callForNotes)
	healthy("notes-on-exit", readNotesOnExit)
	healthy("books-locked", lockBooks)
	healthy("books-awaited", awaitBooks)
	healthy("limit-reset", resetLimit)
}

// Everybody who owns something waits for this, and nobody sends to it.
var closing = make(chan int)

func own(f func()) {
	spawn(f)
	time.Sleep(300 * time.Millisecond)
}

// The one who sends them has given up after an error; what is shut down is only told to stop.

type mailer struct {
	lock    sync.Mutex
	queue   chan []byte
	stop    chan bool
	running sync.WaitGroup
	sent    int
}

func newMailer() *mailer {
	return &mailer{queue: make(chan []byte, 100), stop: make(chan bool)}
}

func (m *mailer) deliver(errors int) {
	defer m.running.Done()
	for n := 0; n != errors; n++ {
		select {
		case mail := <-m.queue:
			m.lock.Lock()
			m.sent += len(mail)
			m.lock.Unlock()
		case <-m.stop:
			return
		}
	}
}

//go:noinline
func (m *mailer) fill() {
	for i := 0; i < 200; i++ {
		select {
		case m.queue <- body(64 << 10):
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

func (m *mailer) shutdown() {
	close(m.stop)
	m.running.Wait()
}

func keepMails(cured bool) {
	own(func() {
		m := newMailer()
		errors := 3
		if cured {
			errors = -1
		}
		m.running.Add(1)
		go m.deliver(errors)
		m.fill()
		<-closing
		m.shutdown()
	})
}

func flushMails() {
	own(func() {
		m := newMailer()
		m.running.Add(1)
		go m.deliver(3)
		m.fill()
		<-closing
		m.shutdown()
		for len(m.queue) > 0 {
			m.sent += len(<-m.queue)
		}
	})
}

// Only their number is still of interest.

type notes struct {
	unread chan []byte
	lost   int64
}

func (n *notes) write(count int) {
	for i := 0; i < count; i++ {
		select {
		case n.unread <- body(64 << 10):
		default:
			atomic.AddInt64(&n.lost, 1)
		}
	}
}

func keepNotes(cured bool) {
	own(func() {
		n := &notes{unread: make(chan []byte, 100)}
		if cured {
			go n.read()
		}
		n.write(120)
		<-closing
		println(n.lost, len(n.unread))
	})
}

//go:noinline
func (n *notes) read() {
	for range n.unread {
	}
}

func handOnNotes() {
	own(func() {
		n := &notes{unread: make(chan []byte, 100)}
		n.write(100)
		<-closing
		go n.read()
	})
}

type reader interface{ read() }

func callForNotes() {
	own(func() {
		n := &notes{unread: make(chan []byte, 100)}
		readers := []reader{n}
		n.write(100)
		<-closing
		for _, r := range readers {
			r.read()
		}
	})
}

func readNotesOnExit() {
	own(func() {
		n := &notes{unread: make(chan []byte, 100)}
		defer n.read()
		n.write(100)
		<-closing
	})
}

// One offers new parts each time he is asked to, and he who took them is gone.

func offerUploads(cured bool) {
	parts := make(chan []byte, 100)
	count := make(chan int)
	if cured {
		spawn(func() {
			for range parts {
			}
		})
	}
	spawn(func() {
		for n := range count {
			for i := 0; i < n; i++ {
				select {
				case parts <- body(64 << 10):
				default:
				}
			}
		}
	})
	count <- 120
	count <- 0
}

// The one who stored them has ended with an error before the last of them came.

type archive struct {
	chunks chan []byte
	stored int
}

func (a *archive) store(fail func(chunk []byte) bool) {
	for chunk := range a.chunks {
		if fail(chunk) {
			return
		}
		a.stored += len(chunk)
	}
}

var nightly = &archive{chunks: make(chan []byte, 8)}

func archiveChunks(cured bool) {
	ended := make(chan bool)
	go func() {
		nightly.store(func(chunk []byte) bool { return len(chunk) == 1 })
		close(ended)
	}()
	nightly.chunks <- body(1)
	<-ended
	for i := 0; i < 6; i++ {
		if !cured {
			nightly.chunks <- body(mib)
		}
	}
}

// What could not be delivered is kept for somebody who was never written. The worker has the whole post office at hand, and
// does not look there.

type letter struct {
	tries int
	text  []byte
}

type lane struct {
	name    string
	letters chan *letter
}

func (l *lane) offer(x *letter) bool {
	select {
	case l.letters <- x:
		return true
	default:
		return false
	}
}

type postOffice struct {
	sent, undelivered *lane
	lost              int
	working           sync.WaitGroup
}

func (p *postOffice) work() {
	defer p.working.Done()
	for x := range p.sent.letters {
		if x.tries > 2 && !p.undelivered.offer(x) {
			p.lost++
		}
	}
}

var post *postOffice

func sendLetters(cured bool) {
	room := 64
	if cured {
		room = 0
	}
	post = &postOffice{
		sent:        &lane{"sent", make(chan *letter, 16)},
		undelivered: &lane{"undelivered", make(chan *letter, room)},
	}
	post.working.Add(1)
	go post.work()
	for i := 0; i < 400; i++ {
		post.sent.letters <- &letter{i % 6, body(64 << 10)}
	}
}

// The reader gave up. The camera is looked after by somebody who waits for more to send, and takes the lock for that.

type camera struct {
	lock    sync.Mutex
	frames  chan []byte
	dropped int
}

func (c *camera) publish(frame []byte) {
	c.lock.Lock()
	defer c.lock.Unlock()
	select {
	case c.frames <- frame:
	default:
		c.dropped++
	}
}

func (c *camera) watch(cured bool) {
	for range c.frames {
		if !cured {
			return
		}
	}
}

func film(cured bool) {
	c, more := &camera{frames: make(chan []byte, 100)}, make(chan int)
	spawn(func() { c.watch(cured) })
	spawn(func() {
		for n := range more {
			for i := 0; i < n; i++ {
				c.publish(body(60 << 10))
			}
		}
	})
	more <- 1
	time.Sleep(10 * time.Millisecond)
	more <- 110
	more <- 0
}

// Eight hold a slot each and wait for answers that nobody will give; the others wait for a slot.

type limit struct {
	slots   chan bool
	waiting int64
}

func (l *limit) call(request []byte, answer chan []byte) {
	atomic.AddInt64(&l.waiting, 1)
	l.slots <- true
	atomic.AddInt64(&l.waiting, -1)
	<-answer
	<-l.slots
	request[0]++
}

func limitCalls(cured bool) {
	own(func() {
		l := &limit{slots: make(chan bool, 8)}
		for i := 0; i < 300; i++ {
			answer := make(chan []byte, 1)
			if cured {
				answer <- nil
			}
			go l.call(body(32<<10), answer)
		}
		time.Sleep(20 * time.Millisecond)
		<-closing
		println(l.waiting)
	})
}

func resetLimit() {
	own(func() {
		l := &limit{slots: make(chan bool, 8)}
		answers := make([]chan []byte, 300)
		for i := range answers {
			answers[i] = make(chan []byte, 1)
			go l.call(body(32<<10), answers[i])
		}
		time.Sleep(20 * time.Millisecond)
		<-closing
		for _, answer := range answers {
			answer <- nil
		}
	})
}

// He who has locked them waits, and will unlock them.

type books struct {
	lock  sync.Mutex
	ready *sync.Cond
	pages int
}

func (b *books) add(page []byte) {
	b.lock.Lock()
	b.pages += len(page)
	b.lock.Unlock()
}

func lockBooks() {
	own(func() {
		b := &books{}
		b.lock.Lock()
		for i := 0; i < 300; i++ {
			go b.add(body(32 << 10))
		}
		<-closing
		b.lock.Unlock()
	})
}

func awaitBooks() {
	own(func() {
		b := &books{}
		b.ready = sync.NewCond(&b.lock)
		for i := 0; i < 1200; i++ {
			go func(page []byte) {
				b.lock.Lock()
				for b.pages == 0 {
					b.ready.Wait()
				}
				b.lock.Unlock()
				page[0]++
			}(body(4 << 10))
		}
		<-closing
		b.lock.Lock()
		b.pages = 1
		b.lock.Unlock()
		b.ready.Broadcast()
	})
}
