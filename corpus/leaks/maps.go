package main

import "strconv"

func init() {
	pair("map-deleted", dropUsers, func() { users = rebuilt(users) })
	pair("map-emptied", dropAll, func() { emptied = map[string]int{} })
	pair("map-inline", dropInline, func() {
		fresh := map[int][12]int{}
		for k, v := range inline {
			fresh[k] = v
		}
		inline = fresh
	})
	pair("map-in-struct", dropRoutes, func() {
		fresh := map[uint64]route{}
		for k, v := range table.routes {
			fresh[k] = v
		}
		table.routes = fresh
	})

	healthy("map-full", func() { fullMap = fill(110000) })
	healthy("map-just-grown", func() { grownMap = fill(107000) })
	healthy("map-hinted", func() {
		hinted = make(map[int]int, 150000)
		for i := 0; i < 100000; i++ {
			hinted[i] = i
		}
	})
	healthy("map-filling", fillMaps)
	healthy("map-values-freed", freeValues)
	healthy("map-many-small", manySmall)
	healthy("map-churned", churnMap)
	healthy("map-swapped", swapMaps)
	healthy("map-turns", countRates)
	healthy("map-turns-global", countVisits)
	healthy("map-turns-local", countClients)
	healthy("cache-unbounded", growCache)
	healthy("cache-limited", limitCache)
}

func rebuilt(m map[int]user) map[int]user {
	fresh := make(map[int]user, len(m))
	for k, v := range m {
		fresh[k] = v
	}
	return fresh
}

// Users come and go, and the map stays as big as on its best day.

type user struct {
	name  string
	score int
}

var users = map[int]user{}

func dropUsers(cured bool) {
	for i := 0; i < 100000; i++ {
		users[i] = user{score: i}
	}
	for i := 0; i < 95000; i++ {
		delete(users, i)
	}
	if cured {
		users = rebuilt(users)
	}
}

var emptied = map[string]int{}

func dropAll(cured bool) {
	for i := 0; i < 100000; i++ {
		emptied[strconv.Itoa(i)] = i
	}
	for k := range emptied {
		delete(emptied, k)
	}
	if cured {
		emptied = nil
	}
}

var inline = map[int][12]int{}

func dropInline(cured bool) {
	for i := 0; i < 60000; i++ {
		inline[i] = [12]int{i}
	}
	for i := 0; i < 58000; i++ {
		delete(inline, i)
	}
	if cured {
		fresh := map[int][12]int{}
		for k, v := range inline {
			fresh[k] = v
		}
		inline = fresh
	}
}

type route struct {
	next, cost uint64
}

var table struct {
	name   string
	routes map[uint64]route
}

func dropRoutes(cured bool) {
	table.routes = map[uint64]route{}
	for i := uint64(0); i < 200000; i++ {
		table.routes[i*7] = route{i, 1}
	}
	for i := uint64(0); i < 199000; i++ {
		delete(table.routes, i*7)
	}
	if cured {
		fresh := map[uint64]route{}
		for k, v := range table.routes {
			fresh[k] = v
		}
		table.routes = fresh
	}
}

// ---- healthy

// Made for many more than are there yet. Some come and go.

var byNumber map[int]user
var byText map[string]int

func fillMaps() {
	byNumber, byText = make(map[int]user, 200000), make(map[string]int, 200000)
	for i := 0; i < 12000; i++ {
		byNumber[i*7] = user{}
		byText[strconv.Itoa(i)] = i
		if i%20 == 10 {
			delete(byNumber, i*7-35)
			delete(byText, strconv.Itoa(i-5))
		}
	}
}

// What is counted in this interval and what was in the last: the two maps take turns, and one has just been emptied.

type rates struct{ now, last map[uint64]int64 }

func (r *rates) count() {
	for i := uint64(0); i < 100000; i++ {
		r.now[i*0x9E3779B97F4A7C15]++
	}
}

func (r *rates) turn() {
	r.now, r.last = r.last, r.now
	for k := range r.now {
		delete(r.now, k)
	}
}

var turns = make(chan bool)

func countRates() {
	go func() {
		r := &rates{map[uint64]int64{}, map[uint64]int64{}}
		for range turns {
			r.count()
			r.turn()
		}
	}()
	for i := 0; i < 3; i++ {
		turns <- true
	}
}

var clients = make(chan uint64)

// Both maps are the goroutine's own.
func countClients() {
	go func() {
		now, last := map[uint64]int64{}, map[uint64]int64{}
		for client := range clients {
			if client != 0 {
				now[client] = last[client] + 1
				continue
			}
			now, last = last, now
			for k := range now {
				delete(now, k)
			}
		}
	}()
	for turn := 0; turn < 3; turn++ {
		for i := uint64(1); i <= 100000; i++ {
			clients <- i * 0x9E3779B97F4A7C15
		}
		clients <- 0
	}
}

var visits = rates{map[uint64]int64{}, map[uint64]int64{}}

func countVisits() {
	for i := 0; i < 2; i++ {
		visits.count()
		visits.turn()
	}
	if visits.last[0] != 1 {
		panic("the last interval is lost")
	}
}

var fullMap, grownMap, hinted map[int]int

func fill(n int) map[int]int {
	m := map[int]int{}
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

var blobs = map[int][]byte{}

// Deleted values go at once; ten slots are nothing.
func freeValues() {
	for i := 0; i < 10; i++ {
		blobs[i] = body(mib)
	}
	for i := 0; i < 10; i++ {
		delete(blobs, i)
	}
}

var small []map[string]int

func manySmall() {
	for i := 0; i < 20000; i++ {
		small = append(small, map[string]int{"a": i, "b": i})
	}
}

var churned = map[int]int{}

// As many come as go: room that will be needed again.
func churnMap() {
	for i := 0; i < 1000000; i++ {
		churned[i] = i
		if i >= 80000 {
			delete(churned, i-80000)
		}
	}
}

type scrape struct {
	seen, before map[uint64]uint64
}

var scrapes []*scrape

// Two maps that take turns: one is always empty.
func swapMaps() {
	for i := 0; i < 40; i++ {
		s := &scrape{map[uint64]uint64{}, map[uint64]uint64{}}
		for round := 0; round < 3; round++ {
			s.seen, s.before = s.before, s.seen
			for k := range s.seen {
				delete(s.seen, k)
			}
			for k := uint64(0); k < 3000; k++ {
				s.seen[k] = k
			}
		}
		for k := range s.before {
			delete(s.before, k)
		}
		scrapes = append(scrapes, s)
	}
}

type record struct {
	key  string
	data []byte
}

var cache = map[string]*record{}

// Nothing ever leaves this cache, which one look cannot know: two can.
func growCache() {
	for i := 0; i < 3000; i++ {
		key := "user:" + strconv.Itoa(i)
		cache[key] = &record{key, body(2048)}
	}
}

var limited = map[string]*record{}

func limitCache() {
	for i := 0; i < 20000; i++ {
		limited["k"+strconv.Itoa(i)] = &record{data: body(1024)}
		if i >= 5000 {
			delete(limited, "k"+strconv.Itoa(i-5000))
		}
	}
}
