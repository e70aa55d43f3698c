package main

import (
	"bytes"
	"container/heap"
	"container/list"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Small services, written as people write them: what leaks is a line or two among many.
func init() {
	pair("api-tokens", serveAPI, func() { api.compact() })
	pair("lru-forgetful", cachePages, nil)
	pair("event-bus", subscribeViews, func() { bus.subs = map[int]func(orderEvent){} })
	pair("session-expiry", openSessions, nil)
	pair("first-answer", askReplicas, nil)
	pair("conn-writers", serveConns, nil)
	pair("call-and-answer", startCalls, nil)
	pair("uploads", importFiles, func() { imports.copyKeys() })
	pair("user-names", parseUsers, func() {
		for _, u := range accounts {
			u.name = clone(u.name)
		}
	})
	pair("matches", findTitles, func() {
		for id, t := range found {
			found[id] = clone(t)
		}
	})
	pair("first-lines", renderPages, func() {
		for i := range rendered {
			rendered[i].summary = append([]byte(nil), rendered[i].summary...)
		}
	})
	pair("blob-store", fillStore, func() { blobStore.each(func(b []byte) []byte { return append([]byte(nil), b...) }) })
	pair("batches-emptied", flushBatches, func() {
		for i := range writers {
			writers[i].rows = nil
		}
	})
	pair("connections-gone", closeConnections, func() { conns.rebuild() })
	pair("shards-gone", emptyShards, func() {
		for i := range shards {
			shards[i].rebuild()
		}
	})
	pair("request-contexts", serveRequests, func() { stopAPI() })
	pair("subscribers-gone", broadcast, nil)
	pair("wait-or-timeout", pollSlowly, nil)
	leaks["encoders"] = leak{build: func() { encode(false) }, use: func() { encode(false) }}
	leaks["encoders-cured"] = leak{build: func() { encode(true) }, use: func() { encode(true) }}

	healthy("btree", growBTree)
	healthy("priority-queue", schedule)
	healthy("adjacency", connectGraph)
	healthy("trie", growTrie)
	healthy("document", parseDocument)
	healthy("rate-limits", limitClients)
	healthy("futures", startFutures)
	healthy("ring-log", logToRing)
	healthy("intern-table", internNames)
	healthy("write-behind", writeBehind)
	healthy("sparse-table", fillSparseTable)
	healthy("connection-pool", poolConnections)
}

// ---- An HTTP service that remembers who came, by a piece of what they sent.

type apiServer struct {
	mu     sync.RWMutex
	tokens map[string][]byte
	seen   int
	cured  bool
}

var api = &apiServer{tokens: map[string][]byte{}}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token := sent[:16]
	if s.cured {
		token = append([]byte(nil), token...)
	}
	s.mu.Lock()
	s.seen++
	s.tokens[r.URL.Path] = token
	s.mu.Unlock()
	fmt.Fprintf(w, "welcome %d", s.seen)
}

func (s *apiServer) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, token := range s.tokens {
		s.tokens[path] = append([]byte(nil), token...)
	}
}

func serveAPI(cured bool) {
	api.cured = cured
	listener := httptest.NewServer(api)
	for i := 0; i < 100; i++ {
		answer, err := http.Post(fmt.Sprintf("%s/client/%d", listener.URL, i), "text/plain", bytes.NewReader(body(64<<10)))
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(20 * time.Millisecond)
}

// ---- An LRU cache whose eviction takes the page from the list and forgets the index.

type pageCache struct {
	sync.Mutex
	limit int
	pages map[string]*list.Element
	order *list.List
}

type page struct {
	url  string
	html []byte
}

var pages = &pageCache{limit: 20, pages: map[string]*list.Element{}, order: list.New()}

func (c *pageCache) add(p *page, cured bool) {
	c.Lock()
	defer c.Unlock()
	c.pages[p.url] = c.order.PushFront(p)
	for c.order.Len() > c.limit {
		last := c.order.Back()
		c.order.Remove(last)
		if cured {
			delete(c.pages, last.Value.(*page).url)
		}
	}
}

func cachePages(cured bool) {
	for i := 0; i < 148; i++ {
		pages.add(&page{fmt.Sprint("/page/", i), body(64 << 10)}, cured)
	}
}

// ---- Views subscribe to events and are closed without unsubscribing.

type eventBus[E any] struct {
	mu   sync.Mutex
	next int
	subs map[int]func(E)
}

func newBus[E any]() *eventBus[E] { return &eventBus[E]{subs: map[int]func(E){}} }

func (b *eventBus[E]) subscribe(f func(E)) (cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := b.next
	b.subs[id] = f
	return func() {
		b.mu.Lock()
		delete(b.subs, id)
		b.mu.Unlock()
	}
}

type orderEvent struct{ id, amount int }

type screen struct {
	title  string
	canvas []byte
	sum    int
}

//go:noinline
func (v *screen) onOrder(e orderEvent) { v.sum += e.amount }

var bus = newBus[orderEvent]()

func subscribeViews(cured bool) {
	for i := 0; i < 32; i++ {
		v := &screen{title: fmt.Sprint("orders ", i), canvas: body(256 << 10)}
		cancel := bus.subscribe(v.onOrder)
		if cured {
			cancel()
		}
	}
}

// ---- Sessions expire by a timer each; who logs out is taken from the map, and the timer stays.

type expiring struct {
	timer *time.Timer
	since time.Time
}

type login struct {
	expiring
	user string
	cart []byte
}

type loginStore struct {
	mu     sync.Mutex
	byUser map[string]*login
}

var logins = &loginStore{byUser: map[string]*login{}}

func (s *loginStore) login(user string) {
	l := &login{user: user, cart: body(2000)}
	l.timer = time.AfterFunc(12*time.Hour, func() { s.logout(l.user, true) })
	s.mu.Lock()
	s.byUser[user] = l
	s.mu.Unlock()
}

func (s *loginStore) logout(user string, stop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.byUser[user]; l != nil && stop {
		l.timer.Stop()
	}
	delete(s.byUser, user)
}

func openSessions(cured bool) {
	for i := 0; i < 3000; i++ {
		user := fmt.Sprint("user", i)
		logins.login(user)
		logins.logout(user, cured)
	}
}

// ---- Three replicas are asked, the first answer is taken, the others have nobody to give theirs to.

func askReplicas(cured bool) {
	for i := 0; i < 25; i++ {
		room := 0
		if cured {
			room = 3
		}
		answers := make(chan []byte, room)
		var asked sync.WaitGroup
		asked.Add(3)
		for replica := 0; replica < 3; replica++ {
			go func() {
				asked.Done()
				answers <- body(64 << 10)
			}()
		}
		asked.Wait()
		length += len(<-answers)
	}
	time.Sleep(50 * time.Millisecond)
}

// ---- A connection's writer waits for messages of a connection that has been closed.

type conn struct {
	id    int
	out   chan []byte
	inbuf [32 << 10]byte
}

func (c *conn) write() {
	for message := range c.out {
		length += len(message) + int(c.inbuf[0])
	}
}

type hub struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
}

var theHub = &hub{conns: map[*conn]struct{}{}}

func (h *hub) serve(id int, closes bool) {
	c := &conn{id: id, out: make(chan []byte, 4)}
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	spawn(c.write)
	c.out <- body(100)
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
	if closes {
		close(c.out)
	}
}

func serveConns(cured bool) {
	for i := 0; i < 100; i++ {
		theHub.serve(i, cured)
	}
	time.Sleep(50 * time.Millisecond)
}

// ---- Two goroutines that each wait for the other.

func startCalls(cured bool) {
	for i := 0; i < 50; i++ {
		calls, answers := make(chan int), make(chan int)
		if cured {
			calls, answers = make(chan int, 1), make(chan int, 1)
			calls <- 1
		}
		spawn(func() {
			hold(func() {
				for n := range calls {
					answers <- n * 2
					return
				}
			})
		})
		spawn(func() { length += <-answers })
	}
	time.Sleep(50 * time.Millisecond)
}

// ---- Files are read whole, and a key of each is kept.

type importer struct {
	mu   sync.Mutex
	keys map[int][][]byte
}

var imports = &importer{keys: map[int][][]byte{}}

func (im *importer) load(id int, r io.Reader) {
	data, _ := io.ReadAll(r)
	fields := bytes.SplitN(data, []byte("w"), 4)
	im.mu.Lock()
	im.keys[id] = append([][]byte(nil), fields[:3]...)
	im.mu.Unlock()
}

func (im *importer) copyKeys() {
	for _, fields := range im.keys {
		for i, f := range fields {
			fields[i] = append([]byte(nil), f...)
		}
	}
}

func importFiles(cured bool) {
	for i := 0; i < 8; i++ {
		imports.load(i, io.LimitReader(&endless{}, mib-512))
	}
	if cured {
		imports.copyKeys()
	}
}

type endless struct{ at int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte('a' + (e.at+i)%23)
	}
	e.at += len(p)
	return len(p), nil
}

// ---- Lines are split, and one field of each goes into a struct that is embedded in another.

type person struct{ name, city string }

type account struct {
	person
	tags []string
}

var accounts []*account

func parseUsers(cured bool) {
	for i := 0; i < 500; i++ {
		line := fmt.Sprintf("%d;name %d;%s", i, i, body(16<<10-100))
		fields := strings.Split(line, ";")
		name := fields[1]
		if cured {
			name = clone(name)
		}
		accounts = append(accounts, &account{person{name, "somewhere"}, nil})
	}
}

// ---- What an expression matched.

var title = regexp.MustCompile(`<h1>([^<]*)</h1>`)

var found = map[int]string{}

func findTitles(cured bool) {
	for i := 0; i < 200; i++ {
		document := fmt.Sprintf("<html><h1>Title %d</h1>%s", i, body(40<<10-100))
		match := title.FindStringSubmatch(document)[1]
		if cured {
			match = clone(match)
		}
		found[i] = match
	}
}

// ---- The first line of what was written into a buffer.

type renderedPage struct {
	path    string
	summary []byte
}

var rendered []renderedPage

func renderPages(cured bool) {
	for i := 0; i < 100; i++ {
		var out bytes.Buffer
		fmt.Fprintf(&out, "page %d\n", i)
		out.Write(body(64 << 10))
		summary := out.Bytes()[:bytes.IndexByte(out.Bytes(), '\n')]
		if cured {
			summary = append([]byte(nil), summary...)
		}
		rendered = append(rendered, renderedPage{fmt.Sprint("/", i), summary})
	}
}

// ---- A generic store.

type stored[V any] struct {
	value V
	used  time.Time
}

type store[K comparable, V any] struct {
	mu    sync.RWMutex
	items map[K]stored[V]
}

func (s *store[K, V]) put(k K, v V) {
	s.mu.Lock()
	s.items[k] = stored[V]{v, time.Now()}
	s.mu.Unlock()
}

func (s *store[K, V]) each(f func(V) V) {
	for k, e := range s.items {
		e.value = f(e.value)
		s.items[k] = e
	}
}

var blobStore = &store[string, []byte]{items: map[string]stored[[]byte]{}}

func fillStore(cured bool) {
	for i := 0; i < 300; i++ {
		blob := body(32 << 10)[:24]
		if cured {
			blob = append([]byte(nil), blob...)
		}
		blobStore.put(fmt.Sprint("blob", i), blob)
	}
}

// ---- Writers that collect rows, and keep the room of their largest batch.

type dbRow struct {
	key, value string
	next       *dbRow
}

type batchWriter struct {
	name string
	rows []dbRow
}

var writers = make([]batchWriter, 8)

func flushBatches(cured bool) {
	for i := range writers {
		w := &writers[i]
		for n := 0; n < 30000; n++ {
			w.rows = append(w.rows, dbRow{key: "k", value: "v"})
		}
		w.rows = w.rows[:0]
		if cured {
			w.rows = nil
		}
	}
}

// ---- A table of connections after the rush hour.

type connState struct {
	id       uint64
	peer     [64]byte
	counters [12]uint64
	since    time.Time
}

type connTable struct {
	sync.RWMutex
	byID map[uint64]*connState
	info map[uint64][12]uint64
}

var conns = connTable{byID: map[uint64]*connState{}, info: map[uint64][12]uint64{}}

func (t *connTable) rebuild() {
	byID, info := map[uint64]*connState{}, map[uint64][12]uint64{}
	for id, c := range t.byID {
		byID[id], info[id] = c, t.info[id]
	}
	t.byID, t.info = byID, info
}

func closeConnections(cured bool) {
	for id := uint64(0); id < 50000; id++ {
		conns.byID[id] = &connState{id: id}
		conns.info[id] = [12]uint64{id}
	}
	for id := uint64(0); id < 49500; id++ {
		delete(conns.byID, id)
		delete(conns.info, id)
	}
	if cured {
		conns.rebuild()
	}
}

type shard struct {
	mu    sync.Mutex
	items map[string]int
}

func (s *shard) rebuild() {
	items := map[string]int{}
	for key, value := range s.items {
		items[key] = value
	}
	s.items = items
}

var shards [16]shard

func emptyShards(cured bool) {
	for i := range shards {
		shards[i].items = map[string]int{}
		for n := 0; n < 10000; n++ {
			shards[i].items[fmt.Sprint(n)] = n
		}
		for n := 50; n < 10000; n++ {
			delete(shards[i].items, fmt.Sprint(n))
		}
		if cured {
			shards[i].rebuild()
		}
	}
}

// ---- Each request has a context, a value in it and a child of that.

type requestID struct{}

var apiContext, stopAPI = context.WithCancel(context.Background())

func serveRequests(cured bool) {
	for i := 0; i < 20000; i++ {
		ctx, cancel := context.WithCancel(apiContext)
		ctx = context.WithValue(ctx, requestID{}, i)
		_, cancelQuery := context.WithCancel(ctx)
		if cured {
			cancelQuery()
			cancel()
		}
	}
}

// ---- Subscribers that went away without saying so: what they do not fetch stays until their queue is full.

type broadcaster struct {
	mu   sync.Mutex
	subs []chan []byte
}

func (b *broadcaster) send(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		select {
		case s <- body(size):
		default:
		}
	}
}

var news = &broadcaster{}

func broadcast(cured bool) {
	for i := 0; i < 20; i++ {
		s := make(chan []byte, 32)
		news.subs = append(news.subs, s)
	}
	for i := 0; i < 100; i++ {
		news.send(10000)
	}
	if cured {
		news.subs = nil
	}
}

// ---- A timeout for each turn of a loop.

func pollSlowly(cured bool) {
	work := make(chan int, 1)
	timeout := time.NewTimer(20 * time.Minute)
	for i := 0; i < 20000; i++ {
		work <- i
		wait := timeout.C
		if !cured {
			wait = time.After(20 * time.Minute)
		}
		select {
		case n := <-work:
			length += n & 1
		case <-wait:
		}
	}
	timeout.Stop()
}

// ---- Encoders in a pool, each with a buffer within.

type encoder struct {
	out     bytes.Buffer
	scratch []byte
	depth   int
}

var encoders = sync.Pool{New: func() interface{} { return new(encoder) }}

func encode(cured bool) {
	var taken []*encoder
	for i := 0; i < 16; i++ {
		e := encoders.Get().(*encoder)
		e.scratch = append(e.scratch[:0], "key"...)
		e.out.Write(answer[:1000])
		if i%3 == 0 || e.depth == 0 { // one large answer is enough
			e.out.Write(answer)
		}
		e.depth++
		taken = append(taken, e)
	}
	for _, e := range taken {
		e.out.Reset()
		if cured && e.out.Cap() > 64<<10 {
			continue
		}
		encoders.Put(e)
	}
}

// ---- healthy

type btreeNode struct {
	items    []int
	payload  [][]byte
	children []*btreeNode
}

var btree *btreeNode

// Nodes are half full on average.
func growBTree() {
	var build func(depth int) *btreeNode
	build = func(depth int) *btreeNode {
		n := &btreeNode{items: make([]int, 0, 63), payload: make([][]byte, 0, 63)}
		for i := 0; i < 33; i++ {
			n.items = append(n.items, i)
			n.payload = append(n.payload, body(32))
		}
		if depth > 0 {
			n.children = make([]*btreeNode, 0, 64)
			for i := 0; i < 34; i++ {
				n.children = append(n.children, build(depth-1))
			}
		}
		return n
	}
	btree = build(2)
}

type job struct {
	at   int
	data []byte
}

type jobQueue []*job

func (q jobQueue) Len() int            { return len(q) }
func (q jobQueue) Less(i, j int) bool  { return q[i].at < q[j].at }
func (q jobQueue) Swap(i, j int)       { q[i], q[j] = q[j], q[i] }
func (q *jobQueue) Push(x interface{}) { *q = append(*q, x.(*job)) }
func (q *jobQueue) Pop() interface{} {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}

var jobHeap jobQueue

func schedule() {
	for i := 0; i < 30000; i++ {
		heap.Push(&jobHeap, &job{i * 7919 % 30011, body(500)})
		if i%3 == 0 {
			heap.Pop(&jobHeap)
		}
	}
}

type vertex struct {
	name string
	out  []*vertex
}

var graph []vertex

func connectGraph() {
	graph = make([]vertex, 20000)
	for i := range graph {
		graph[i].name = fmt.Sprint("v", i)
		for n := 0; n < 5+i%13; n++ {
			graph[i].out = append(graph[i].out, &graph[(i*31+n*17)%len(graph)])
		}
	}
}

type trieNode struct {
	next  map[byte]*trieNode
	value []byte
}

var trieRoot = &trieNode{next: map[byte]*trieNode{}}

func growTrie() {
	for i := 0; i < 5000; i++ {
		at := trieRoot
		for _, c := range []byte(fmt.Sprint(i * 7919)) {
			if at.next[c] == nil {
				at.next[c] = &trieNode{next: map[byte]*trieNode{}}
			}
			at = at.next[c]
		}
		at.value = body(100)
	}
}

type element struct {
	name, text string
	children   []element
}

var documents []element

// All of the text is referred to, piece by piece.
func parseDocument() {
	for d := 0; d < 20; d++ {
		text := strings.Repeat("chapter:some words that make a sentence;", 2000)
		root := element{name: "book"}
		for _, part := range strings.Split(text, ";") {
			if i := strings.IndexByte(part, ':'); i > 0 {
				root.children = append(root.children, element{name: part[:i], text: part[i+1:]})
			}
		}
		documents = append(documents, root)
	}
}

type limiter struct {
	tokens float64
	last   time.Time
}

var limits = struct {
	sync.Mutex
	byClient map[string]*limiter
}{byClient: map[string]*limiter{}}

func limitClients() {
	for i := 0; i < 30000; i++ {
		limits.byClient[fmt.Sprint("10.0.", i/256, ".", i%256)] = &limiter{10, time.Now()}
	}
}

type future struct {
	done  chan struct{}
	value []byte
}

var futures []*future

func startFutures() {
	for i := 0; i < 200; i++ {
		f := &future{done: make(chan struct{})}
		futures = append(futures, f)
		spawn(func() {
			f.value = body(10000)
			close(f.done)
		})
	}
	time.Sleep(20 * time.Millisecond)
}

var ringLog struct {
	lines [4096]string
	next  int
}

func logToRing() {
	for i := 0; i < 20000; i++ {
		ringLog.lines[ringLog.next%len(ringLog.lines)] = fmt.Sprintf("%d %s", i, body(200))
		ringLog.next++
	}
}

var interned = map[string]string{}

func internNames() {
	for i := 0; i < 50000; i++ {
		name := fmt.Sprint("metric_", i%5000, "_", body(40))
		if _, known := interned[name]; !known {
			interned[name] = name
		}
	}
}

var behind struct {
	mu    sync.Mutex
	dirty map[string][]byte
	queue chan string
}

// A worker comes by from time to time.
func writeBehind() {
	behind.dirty = map[string][]byte{}
	behind.queue = make(chan string, 4096)
	go func() {
		for range time.Tick(time.Hour) {
			for len(behind.queue) > 0 {
				behind.mu.Lock()
				delete(behind.dirty, <-behind.queue)
				behind.mu.Unlock()
			}
		}
	}()
	for i := 0; i < 2000; i++ {
		key := fmt.Sprint("dbRow", i)
		behind.dirty[key] = body(1000)
		behind.queue <- key
	}
}

var sparse []*session

func fillSparseTable() {
	sparse = make([]*session, 1<<18)
	for i := 0; i < len(sparse); i += 97 {
		sparse[i] = &session{}
	}
}

type pooledConn struct {
	in, out []byte
	busy    bool
}

var idleConns = make(chan *pooledConn, 64)

func poolConnections() {
	for i := 0; i < 32; i++ {
		idleConns <- &pooledConn{in: make([]byte, 0, 32<<10), out: make([]byte, 0, 32<<10)}
	}
	spawn(func() {
		for {
			c := <-idleConns
			c.in = append(c.in[:0], "ping"...)
			time.Sleep(10 * time.Millisecond)
			c.in = c.in[:0]
			idleConns <- c
		}
	})
}
