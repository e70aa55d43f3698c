package main

import (
	"bytes"
	"container/heap"
	"fmt"
	"strconv"
	"strings"
)

// Where one does not look first: in errors that were wrapped, in arrays of structs, behind interfaces, in buffers that are
// fields of something.
func init() {
	pair("error-context", failToParse, func() {
		for i := range failures {
			failures[i] = nil
		}
	})
	pair("sensor-array", sampleSensors, func() {
		for i := range sensors {
			sensors[i].samples = append([]float64(nil), sensors[i].samples...)
		}
	})
	pair("errand-heap", runScheduled, func() { scheduled = append(errandHeap(nil), scheduled...) })
	pair("undo-stack", undoAll, func() { editor.undo = nil })
	pair("reply-buffers", answerPeers, func() {
		for _, p := range peers {
			p.reply = bytes.Buffer{}
		}
	})
	pair("few-labels", scrapeTargets, nil)
	pair("log-tail", followLog, func() { logTail.rest = append([]byte(nil), logTail.rest...) })
	pair("first-fields", cutColumns, func() {
		for i, row := range cutRows {
			cutRows[i] = []string{clone(row[0]), clone(row[1])}
		}
	})
	healthy("tokens", tokenize)
}

// A parser's error shows where it stopped: a piece of the text, and with it all of the text. That it is an error the
// runtime finds out when it is wrapped.

type syntaxError struct {
	near string
}

func (e *syntaxError) Error() string { return "syntax error near " + e.near }

var failures []error

func failToParse(cured bool) {
	for i := 0; i < 32; i++ {
		text := string(body(256 << 10))
		near := text[1000:1020]
		if cured {
			near = clone(near)
		}
		failures = append(failures, fmt.Errorf("file %d: %w", i, &syntaxError{near}))
	}
}

// Room for a day's samples in each, and ten are all that come.

var sensors [128]struct {
	name    string
	samples []float64
}

func sampleSensors(cured bool) {
	for i := range sensors {
		room := 8 << 10
		if cured {
			room = 10
		}
		sensors[i].samples = make([]float64, 0, room)
		for k := 0; k < 10; k++ {
			sensors[i].samples = append(sensors[i].samples, float64(k))
		}
	}
}

// container/heap sees the slice through an interface; Pop makes it shorter and leaves the pointer.

type errand struct {
	priority int
	input    []byte
}

type errandHeap []*errand

var (
	scheduled   errandHeap
	clearPopped bool
)

func (h errandHeap) Len() int           { return len(h) }
func (h errandHeap) Less(i, j int) bool { return h[i].priority < h[j].priority }
func (h errandHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *errandHeap) Push(x any)        { *h = append(*h, x.(*errand)) }

func (h *errandHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	if clearPopped {
		(*h)[last] = nil
	}
	*h = (*h)[:last]
	return t
}

func runScheduled(cured bool) {
	clearPopped = cured
	for i := 0; i < 500; i++ {
		heap.Push(&scheduled, &errand{i * 7 % 500, body(16 << 10)})
	}
	for len(scheduled) > 10 {
		heap.Pop(&scheduled)
	}
}

// The steps that were undone are beyond the length, with what they would bring back.

var editor struct {
	undo []func() int
}

func undoAll(cured bool) {
	for i := 0; i < 128; i++ {
		old := body(64 << 10)
		editor.undo = append(editor.undo, func() int { return len(old) + int(old[0]) })
	}
	editor.undo = editor.undo[:0]
	if cured {
		editor.undo = nil
	}
}

// Each peer has a buffer for replies, which one large reply made large for ever.

type remote struct {
	name  string
	reply bytes.Buffer
}

var peers = map[string]*remote{}

func answerPeers(cured bool) {
	for i := 0; i < 64; i++ {
		p := &remote{name: strconv.Itoa(i)}
		p.reply.Write(body(128 << 10))
		p.reply.Reset()
		if cured {
			p.reply = bytes.Buffer{}
		}
		p.reply.WriteString("ok")
		peers[p.name] = p
	}
}

// Two texts in all, beside whatever small strings a program has.

var targets []string

func scrapeTargets(cured bool) {
	known := map[string]string{}
	for i := 0; i < 20000; i++ {
		label := strconv.Itoa(i%2) + strings.Repeat("label", 40)
		if first, seen := known[label]; cured && seen {
			label = first
		}
		known[label] = label
		targets = append(targets, label)
	}
}

// What the variable points to has no name of its own: the linker lays it out beside it.

type tailReader struct {
	lines chan string
	rest  []byte
}

var logTail = &tailReader{lines: make(chan string)}

func followLog(cured bool) {
	read := body(8 * mib)
	rest := read[len(read)-40:]
	if cured {
		rest = append([]byte(nil), rest...)
	}
	logTail.rest = rest
}

// Two columns of many, cut off so that nobody appends to the others: their array stays, and all of the line.

var cutRows [][]string

func cutColumns(cured bool) {
	for i := 0; i < 64; i++ {
		line := strings.Repeat("column ", 16<<10)
		row := strings.Fields(line)[:2:2]
		if cured {
			row = []string{clone(row[0]), clone(row[1])}
		}
		cutRows = append(cutRows, row)
	}
}

// ---- healthy

// Half of a text, in a hundred thousand pieces: copies of them would take as much.

var identifiers []string

func tokenize() {
	var text strings.Builder
	for i := 0; i < 100000; i++ {
		text.WriteString("identifier" + strconv.Itoa(i) + " /* and */ ")
	}
	for _, field := range strings.Fields(text.String()) {
		if strings.HasPrefix(field, "id") {
			identifiers = append(identifiers, field)
		}
	}
}
