package main

import (
	"bytes"
	"container/list"
	"fmt"
	"sync/atomic"
	"time"
)

func init() {
	pair("list-service", serveDocs, func() { docEvents <- nil })
	pair("rooms-gone", leaveRooms, func() {
		for name, members := range rooms {
			rooms[name] = map[uint64]*[8]byte{}
			for id, member := range members {
				rooms[name][id] = member
			}
		}
	})
	pair("middleware", wrapHandlers, nil)
	pair("index-swapped", swapIndex, func() { current.Load().copyAll() })

	healthy("lazy-values", makeLazy)
	healthy("quit-broadcast", waitForQuit)
}

// A service that lives in its goroutine: a list with a limit, and an index that keeps the elements that left it.

type doc struct {
	number int
	body   []byte
}

type docCache struct {
	order *list.List
	index map[int]*list.Element
}

func (c *docCache) put(p *doc, cured bool) {
	c.index[p.number] = c.order.PushFront(p)
	for c.order.Len() > 16 {
		last := c.order.Back()
		c.order.Remove(last)
		if cured {
			delete(c.index, last.Value.(*doc).number)
		}
	}
}

var docEvents = make(chan *doc)

func serveDocs(cured bool) {
	done := make(chan bool)
	go func() {
		c := &docCache{order: list.New(), index: map[int]*list.Element{}}
		for p := range docEvents {
			if p == nil {
				c.index = nil
			} else {
				c.put(p, cured)
			}
			done <- true
		}
	}()
	for i := 0; i < 144; i++ {
		docEvents <- &doc{i, body(64 << 10)}
		<-done
	}
	go func() { <-done }()
}

// Many small maps that were bigger once: none of them is worth a word, all together are.

var rooms = map[string]map[uint64]*[8]byte{}

func leaveRooms(cured bool) {
	for i := 0; i < 2000; i++ {
		members := map[uint64]*[8]byte{}
		for id := uint64(0); id < 200; id++ {
			members[id] = new([8]byte)
		}
		for id := uint64(2); id < 200; id++ {
			delete(members, id)
		}
		if cured {
			members = map[uint64]*[8]byte{0: members[0], 1: members[1]}
		}
		rooms[fmt.Sprint("room ", i)] = members
	}
}

// A handler that shows a part of a page, within one that counts: the page is kept once.

var handlersByPath = map[string]func(*bytes.Buffer){}

func wrapHandlers(cured bool) {
	for i := 0; i < 32; i++ {
		banner := body(256 << 10)[:80]
		if cured {
			banner = append([]byte(nil), banner...)
		}
		show := func(out *bytes.Buffer) { out.Write(banner) }
		calls := 0
		handlersByPath[fmt.Sprint("/", i)] = func(out *bytes.Buffer) {
			calls++
			show(out)
		}
	}
}

// An index that is replaced as a whole.

type wordIndex struct{ list [][]byte }

func (w *wordIndex) copyAll() {
	for i, word := range w.list {
		w.list[i] = append([]byte(nil), word...)
	}
}

var current atomic.Pointer[wordIndex]

func swapIndex(cured bool) {
	w := &wordIndex{}
	for i := 0; i < 128; i++ {
		w.list = append(w.list, body(64 << 10)[:20])
	}
	if cured {
		w.copyAll()
	}
	current.Store(w)
}

// Values behind functions that instances of a generic function share.

type lazy[T any] struct{ get func() T }

func constant[T any](value T) lazy[T] {
	return lazy[T]{func() T { return value }}
}

type ruleSet struct {
	name  string
	rules [64][]byte
}

var lazies []lazy[*ruleSet]

func makeLazy() {
	for i := 0; i < 800; i++ {
		set := &ruleSet{name: fmt.Sprint("set ", i)}
		for k := range set.rules {
			set.rules[k] = body(128)
		}
		lazies = append(lazies, constant(set))
	}
}

// Connections that wait for the end, which a function in a table will announce one day.

var (
	quit     = make(chan struct{})
	commands = map[string]func(){"quit": func() { close(quit) }}
)

func waitForQuit() {
	started := make(chan bool)
	for i := 0; i < 1500; i++ {
		go func() {
			state := body(1024)
			started <- true
			<-quit
			state[0]++
		}()
		<-started
	}
	time.Sleep(10 * time.Millisecond)
}
