package main

import (
	"container/list"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

type session struct {
	id   int
	user string
	body []byte
}

func newSession(id int) *session {
	return &session{id, "user " + strconv.Itoa(id), body(kib)}
}

const perStep = 1000

// each calls f with numbers that no step had before.
func each(step int, f func(id int)) {
	for i := 0; i < perStep; i++ {
		f(step*perStep + i)
	}
}

var sessions = map[int]*session{}

type point struct{ x, y, z, weight float64 }

var (
	points  = map[int]point{}
	history []*session
	samples []point
	order   list.List
	attrs   sync.Map
)

type node struct {
	next  *node
	value *session
}

var head, queueHead, queueTail *node

type tree struct {
	left, right *tree
	key         int
	value       []byte
}

func (t *tree) insert(key int) *tree {
	if t == nil {
		return &tree{key: key, value: body(kib)}
	}
	if key%7919*31%1009 < t.key%7919*31%1009 {
		t.left = t.left.insert(key)
	} else {
		t.right = t.right.insert(key)
	}
	return t
}

var index struct {
	name string
	root *tree
}

type shard struct {
	mu    sync.Mutex
	items map[int]*session
}

var shards [16]*shard

var backlog chan []byte

var byID, byName = map[int]*session{}, map[string]*session{}

type server struct {
	name     string
	mu       sync.RWMutex
	requests map[int]*session
	errors   []string
	routes   map[string]func()
}

var theServer = &server{name: "api", requests: map[int]*session{}, routes: map[string]func(){}}

// activity is what a callback that nobody removes keeps.
type activity struct {
	title string
	view  []byte
}

//go:noinline
func (a *activity) refresh() { a.title += "." }

var listeners []func()

type registry[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V
}

func (r *registry[K, V]) put(k K, v V) {
	r.mu.Lock()
	r.items[k] = v
	r.mu.Unlock()
}

var jobs = &registry[string, session]{items: map[string]session{}}

// local keeps its cache in a variable of main's, and nowhere else.
func local() {
	cache := map[int]*session{}
	wait := make([]byte, 1)
	for step := 1; ; step++ {
		each(step, func(id int) { cache[id] = newSession(id) })
		say(step)
		if n, _ := os.Stdin.Read(wait); n == 0 {
			break
		}
	}
	runtime.KeepAlive(cache)
}

func init() {
	cases["sessions"] = func(step int) { each(step, func(id int) { sessions[id] = newSession(id) }) }
	cases["points"] = func(step int) {
		for i := 0; i < 10*perStep; i++ {
			points[step*10*perStep+i] = point{x: float64(i)}
		}
	}
	cases["history"] = func(step int) { each(step, func(id int) { history = append(history, newSession(id)) }) }
	cases["samples"] = func(step int) {
		for i := 0; i < 50*perStep; i++ {
			samples = append(samples, point{x: float64(i)})
		}
	}
	cases["list"] = func(step int) { each(step, func(id int) { order.PushBack(newSession(id)) }) }
	cases["sync-map"] = func(step int) { each(step, func(id int) { attrs.Store(id, newSession(id)) }) }
	cases["stack"] = func(step int) { each(step, func(id int) { head = &node{head, newSession(id)} }) }
	cases["queue"] = func(step int) {
		each(step, func(id int) {
			n := &node{value: newSession(id)}
			if queueTail == nil {
				queueHead = n
			} else {
				queueTail.next = n
			}
			queueTail = n
		})
	}
	cases["tree"] = func(step int) { each(step, func(id int) { index.root = index.root.insert(id) }) }
	cases["shards"] = func(step int) {
		each(step, func(id int) {
			s := &shards[id%len(shards)]
			if *s == nil {
				*s = &shard{items: map[int]*session{}}
			}
			(*s).items[id] = newSession(id)
		})
	}
	cases["channel"] = func(step int) {
		if backlog == nil {
			backlog = make(chan []byte, 1<<20)
		}
		each(step, func(int) { backlog <- body(kib) })
	}
	cases["two-indexes"] = func(step int) {
		each(step, func(id int) {
			s := newSession(id)
			byID[id], byName[s.user] = s, s
		})
	}
	cases["field"] = func(step int) { each(step, func(id int) { theServer.requests[id] = newSession(id) }) }
	cases["listeners"] = func(step int) {
		for i := 0; i < 8; i++ {
			listeners = append(listeners, (&activity{view: body(256 * kib)}).refresh)
		}
	}
	cases["generic"] = func(step int) {
		each(step, func(id int) { jobs.put("job "+strconv.Itoa(id), *newSession(id)) })
	}
	cases["local"] = nil
	cases["timers"] = func(step int) {
		for i := 0; i < 8; i++ {
			a := &activity{view: body(256 * kib)}
			time.AfterFunc(time.Hour, a.refresh)
		}
	}
}
