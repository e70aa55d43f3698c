package main

import (
	"bufio"
	"io"
	"strings"
)

func init() {
	pair("prefix", keepPrefixes, func() {
		for i, p := range prefixes {
			prefixes[i] = append([]byte(nil), p...)
		}
	})
	pair("config", loadConfig, func() { config.key = append([]byte(nil), config.key...) })
	pair("clipped", clip, func() {
		for i, w := range clipped {
			clipped[i] = append([]byte(nil), w...)
		}
	})
	pair("zero-length", keepEnds, func() { ends = nil })
	pair("array-element", pointInto, func() {
		for i, c := range chosen {
			copied := *c
			chosen[i] = &copied
		}
	})
	pair("first-byte", pointAtFirst, func() {
		for i, f := range firsts {
			copied := *f
			firsts[i] = &copied
		}
	})
	pair("substring", keepSubstrings, func() {
		for i, t := range titles {
			titles[i] = clone(t)
		}
	})
	pair("log-lines", keepLevels, func() {
		for i := range entries {
			entries[i].time = clone(entries[i].time)
		}
	})
	pair("first-columns", keepColumns, copyColumns)
	pair("map-values", fillIndex, func() {
		for key, value := range index {
			index[key] = append([]byte(nil), value...)
		}
	})
	pair("request-field", takeRequests, func() {
		for _, r := range requests {
			r.header = append([]byte(nil), r.header...)
		}
	})
	pair("queue-head", popQueue, func() { queue = append([]*message(nil), queue...) })
	pair("truncated", truncate, func() { lines = nil })
	pair("stale-tail", deleteByCopy, func() {
		for i := len(members); i < cap(members); i++ {
			members[:cap(members)][i] = nil
		}
	})
	pair("spare", reserve, func() {
		for i, s := range samples {
			samples[i] = append(make([]float64, 0, len(s)), s...)
		}
	})

	healthy("dead-buffer", leakyBuffer)
	healthy("whole-slices", keepWhole)
	healthy("shared-array", shareArray)
	healthy("appended", appendAll)
	healthy("interior-pointers", walkTree)
	healthy("queue-in-use", useQueue)
	healthy("scratch-buffer", useScratch)
	healthy("split-text", splitText)
	healthy("reserved", reserveLittle)
	healthy("tables-filling", fillTables)
	healthy("matrix", shareRows)
	healthy("bump-allocator", allocateNodes)
	healthy("buffered-streams", openStreams)
	healthy("stack-of-pointers", pushAndPop)
	healthy("write-buffer", appendRecords)
}

func clone(s string) string {
	return string(append([]byte(nil), s...))
}

// A few bytes of each file keep all of it.

var prefixes [][]byte

func keepPrefixes(cured bool) {
	for i := 0; i < 8; i++ {
		file := body(mib)
		if cured {
			prefixes = append(prefixes, append([]byte(nil), file[:512]...))
		} else {
			prefixes = append(prefixes, file[:512])
		}
	}
}

var config struct{ key []byte }

func loadConfig(cured bool) {
	file := body(6 * mib)
	config.key = file[mib : mib+1]
	if cured {
		config.key = append([]byte(nil), config.key...)
	}
}

// Limiting the capacity frees nothing.

var clipped [][]byte

func clip(cured bool) {
	for i := 0; i < 8; i++ {
		file := body(mib)
		window := file[100:200:200]
		if cured {
			window = append([]byte(nil), window...)
		}
		clipped = append(clipped, window)
	}
}

// A window of no bytes keeps the array too.

var ends [][]byte

func keepEnds(cured bool) {
	for i := 0; i < 8; i++ {
		file := body(mib)
		if cured {
			file = nil
		}
		ends = append(ends, file[len(file):])
	}
}

type candidate struct {
	id    int
	score float64
}

var chosen []*candidate

func pointInto(cured bool) {
	for i := 0; i < 8; i++ {
		all := make([]candidate, mib/16)
		best := &all[i*1000+1]
		if cured {
			copied := *best
			best = &copied
		}
		chosen = append(chosen, best)
	}
}

var firsts []*byte

func pointAtFirst(cured bool) {
	for i := 0; i < 8; i++ {
		file := body(mib)
		if cured {
			file = append([]byte(nil), file[0])
		}
		firsts = append(firsts, &file[0])
	}
}

var titles []string

func keepSubstrings(cured bool) {
	for i := 0; i < 8; i++ {
		title := string(body(mib))[2:5]
		if cured {
			title = clone(title)
		}
		titles = append(titles, title)
	}
}

// Eight bytes of each line of a log keep the line.

type entry struct {
	time  string
	count int
}

var entries []entry

func keepLevels(cured bool) {
	for i := 0; i < 2000; i++ {
		time := string(body(4096))[:8]
		if cured {
			time = clone(time)
		}
		entries = append(entries, entry{time, i})
	}
}

var index = map[string][]byte{}

func fillIndex(cured bool) {
	for i := 0; i < 128; i++ {
		row := body(64 << 10)
		value := row[100:105]
		if cured {
			value = append([]byte(nil), value...)
		}
		index[string(rune('a'+i))] = value
	}
}

type request struct {
	id     int
	header []byte
}

var requests []*request

func takeRequests(cured bool) {
	for i := 0; i < 500; i++ {
		raw := body(16 << 10)
		r := &request{id: i, header: raw[0:40]}
		if cured {
			r.header = append([]byte(nil), r.header...)
		}
		requests = append(requests, r)
	}
}

// What was popped is still in the array, before the window that is left.

type message struct {
	id      int
	payload [2000]byte
}

var queue []*message

func popQueue(cured bool) {
	queue = make([]*message, 0, 5000)
	for i := 0; i < 5000; i++ {
		queue = append(queue, &message{id: i})
	}
	for len(queue) > 100 {
		if cured {
			queue[0] = nil
		}
		queue = queue[1:]
	}
}

// Emptied by reslicing: the array and all its strings stay.

var lines []string

func truncate(cured bool) {
	for i := 0; i < 100000; i++ {
		lines = append(lines, string(body(48)))
	}
	lines = lines[:0]
	if cured {
		lines = nil
	}
}

// Deleted by moving the rest down: the last elements are still in the array, beyond the length.

type member struct {
	name  string
	image [4000]byte
}

var members []*member

func deleteByCopy(cured bool) {
	for i := 0; i < 4096; i++ {
		members = append(members, &member{})
	}
	kept := members[:100]
	if cured {
		for i := len(kept); i < len(members); i++ {
			members[i] = nil
		}
	}
	members = kept
}

// Room for a million samples, and a thousand came.

var samples [][]float64

func reserve(cured bool) {
	for i := 0; i < 8; i++ {
		room := mib / 8
		if cured {
			room = 1000
		}
		s := make([]float64, 0, room)
		for k := 0; k < 1000; k++ {
			s = append(s, float64(k))
		}
		samples = append(samples, s)
	}
}

// ---- healthy

var length int

// As the textbooks have it: but nobody uses data any more, and so it goes.
func leakyBuffer() {
	data := make([]string, 0)
	for i := 0; i < 100000; i++ {
		data = append(data, string(body(48)))
	}
	data = data[:0]
	length = len(data)
}

var whole [][]byte

func keepWhole() {
	for i := 0; i < 64; i++ {
		whole = append(whole, body(100000))
	}
}

var (
	document []byte
	words    [][]byte
)

// Many small windows into an array that is itself in use.
func shareArray() {
	document = body(4 * mib)
	for i := 0; i+8 <= len(document); i += 4096 {
		words = append(words, document[i:i+8])
	}
}

var numbers []int

func appendAll() {
	for i := 0; i < 700000; i++ {
		numbers = append(numbers, i)
	}
}

type treeNode struct {
	left, right *treeNode
	key         int
}

var (
	root *treeNode
)

// Nodes taken from one array, all of them linked.
func walkTree() {
	slab := make([]treeNode, 100000)
	for i := range slab {
		if 2*i+2 < len(slab) {
			slab[i].left, slab[i].right = &slab[2*i+1], &slab[2*i+2]
		}
	}
	root = &slab[0]
}

var inUse []*message

func useQueue() {
	for i := 0; i < 4000; i++ {
		inUse = append(inUse, &message{id: i})
	}
	for i := 0; i < 2000; i++ {
		inUse[0] = nil
		inUse = append(inUse[1:], &message{id: i})
	}
}

var scratch []byte

// A buffer that every request fills anew.
func useScratch() {
	scratch = append(scratch, body(200<<10)...)
	scratch = scratch[:0]
}

var fields []string

// Every part of the text is still in somebody's window.
func splitText() {
	fields = strings.Split(string(body(4*mib)), "w")
}

var reserved [][]int

func reserveLittle() {
	for i := 0; i < 5000; i++ {
		reserved = append(reserved, append(make([]int, 0, 128), i))
	}
}

var matrix [][]float64

func shareRows() {
	all := make([]float64, 700*700)
	for i := 0; i < 700; i++ {
		matrix = append(matrix, all[i*700:(i+1)*700])
	}
}

var (
	slab  []treeNode
	taken []*treeNode
)

// Nodes are taken from slabs, the last of which is in use.
func allocateNodes() {
	for i := 0; i < 100000; i++ {
		if len(slab) == cap(slab) {
			slab = make([]treeNode, 0, 16384)
		}
		slab = append(slab, treeNode{key: i})
		taken = append(taken, &slab[len(slab)-1])
	}
}

var streams []*bufio.ReadWriter

func openStreams() {
	for i := 0; i < 300; i++ {
		streams = append(streams, bufio.NewReadWriter(bufio.NewReader(strings.NewReader("hello\n")),
			bufio.NewWriter(io.Discard)))
		streams[i].ReadString('\n')
		streams[i].WriteString("hello")
	}
}

var stack []*treeNode

func pushAndPop() {
	for i := 0; i < 200000; i++ {
		stack = append(stack, &treeNode{key: i})
		if i%3 == 2 {
			stack[len(stack)-1] = nil
			stack = stack[:len(stack)-1]
		}
	}
}

// Of each line's columns the first two are kept. The others are in the same array, where nobody sees them.

var columns [][]string

func keepColumns(cured bool) {
	for i := 0; i < 500; i++ {
		line := body(16000)
		for at := 20; at < len(line); at += 2000 {
			line[at-10], line[at] = ',', ','
		}
		columns = append(columns, strings.Split(string(line), ",")[:2])
	}
	if cured {
		copyColumns()
	}
}

func copyColumns() {
	for i, row := range columns {
		columns[i] = []string{clone(row[0]), clone(row[1])}
	}
}

// A table in memory: made as large as it may become before it is written out, and appended to until then.

var memtable struct{ records []byte }

func appendRecords() {
	memtable.records = make([]byte, 0, 16*mib)
	for len(memtable.records) < 2*mib {
		memtable.records = append(memtable.records, body(1000)...)
	}
}

// Made for all that will come, of which a seventh is there.

type reading struct {
	id     uint64
	values [3]float64
}

var readings [4][]reading

func fillTables() {
	for i := range readings {
		readings[i] = make([]reading, 0, 60000)
		for k := 0; k < 8500; k++ {
			readings[i] = append(readings[i], reading{id: uint64(k)})
		}
	}
}
