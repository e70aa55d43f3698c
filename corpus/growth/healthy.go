package main

import (
	"container/list"
	"strconv"
	"sync"
)

type lru struct {
	mu    sync.Mutex
	limit int
	items map[int]*list.Element
	order *list.List
}

func (c *lru) put(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items[s.id] = c.order.PushFront(s)
	for c.order.Len() > c.limit {
		delete(c.items, c.order.Remove(c.order.Back()).(*session).id)
	}
}

var (
	limited = &lru{limit: perStep, items: map[int]*list.Element{}, order: list.New()}
	filling = &lru{limit: 2 * perStep, items: map[int]*list.Element{}, order: list.New()}
)

var (
	scratch []byte
	ring    [perStep]*session
	table   map[string]string
	once    sync.Once
	pool    = sync.Pool{New: func() interface{} { b := body(64 * kib); return &b }}
)

// Buffers by size, and writers that have some of them, too.
type bufferPools struct {
	name    string
	bySize  [8]sync.Pool
	writers sync.Pool
	used    [8][]*[]byte
}

type bufferedWriter struct {
	path   string
	buffer *[]byte
}

var buffers *bufferPools

// use takes so many buffers of each size at once.
func (p *bufferPools) use(count int) {
	for p.writers.Get() != nil {
	}
	for i := range p.used {
		for len(p.used[i]) < count {
			b, _ := p.bySize[i].Get().(*[]byte)
			if b == nil {
				fresh := body((i + 1) * 8 * kib)
				b = &fresh
			}
			p.used[i] = append(p.used[i], b)
		}
	}
}

func (p *bufferPools) release(written bool) {
	for i := range p.used {
		for _, b := range p.used[i] {
			p.bySize[i].Put(b)
			if written {
				p.writers.Put(&bufferedWriter{buffer: b})
			}
		}
		p.used[i] = nil
	}
}

func init() {
	// Full from the first step on: what comes in pushes something out.
	cases["lru"] = func(step int) { each(step, func(id int) { limited.put(newSession(id)) }) }
	// Warming up until the second step.
	cases["lru-filling"] = func(step int) { each(step, func(id int) { filling.put(newSession(id)) }) }
	cases["ring"] = func(step int) { each(step, func(id int) { ring[id%len(ring)] = newSession(id) }) }
	// Collected and handed on every second step.
	cases["batches"] = func(step int) {
		if step%2 == 1 {
			history = nil
		}
		each(step, func(id int) { history = append(history, newSession(id)) })
	}
	// More around noon than in the morning and in the evening.
	cases["turnover"] = func(step int) {
		for id := range sessions {
			delete(sessions, id)
		}
		for i := 0; i < []int{1000, 1500, 1100}[(step-1)%3]; i++ {
			sessions[step*10*perStep+i] = newSession(i)
		}
	}
	cases["map-churn"] = func(step int) {
		for i := 0; i < 200*perStep; i++ {
			id := step*200*perStep + i
			delete(points, id-20*perStep)
			points[id] = point{x: float64(i)}
		}
	}
	cases["map-reused"] = func(step int) {
		for id := range sessions {
			delete(sessions, id)
		}
		each(step, func(id int) { sessions[id] = newSession(id) })
	}
	// Once there is a larger request.
	cases["buffer"] = func(step int) {
		size := 512 * kib
		if step == 2 {
			size = 2048 * kib
		}
		scratch = append(scratch[:0], make([]byte, size)...)
	}
	cases["pool"] = func(step int) {
		var taken []interface{}
		for i := 0; i < 10*step; i++ {
			taken = append(taken, pool.Get())
		}
		for _, b := range taken {
			pool.Put(b)
		}
	}
	// Collections empty pools, but for what is in use; what somebody sees there depends on when he looks.
	use := func(step int) {
		if buffers == nil {
			buffers = &bufferPools{name: strconv.Itoa(step)}
		}
		buffers.use(6 * step)
	}
	cases["pools"], cases["pools-shared"] = use, use
	later["pools"] = func(int) { buffers.release(false) }
	later["pools-shared"] = func(int) { buffers.release(true) }
	cases["once"] = func(step int) {
		once.Do(func() {
			table = map[string]string{}
			each(step, func(id int) { table[strconv.Itoa(id)] = string(body(kib)) })
		})
	}
	cases["garbage"] = func(step int) { each(step, func(id int) { newSession(id) }) }
	cases["still"] = func(int) {}
}
