package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

func init() {
	pair("closure-window", watchBytes, func() { watchers = nil })
	pair("handlers", addHandlers, func() { handlers = map[string]func() []byte{} })
	pair("listeners", listen, func() { listeners = nil })
	pair("http-handler", serveTemplates, nil)
	pair("previews", servePreviews, func() { previews = map[string]excerpt{} })
	pair("limit-curves", compileLimits, func() { limitCurves = nil })
	pair("plugin-versions", loadPlugins, func() { plugins = map[string]func() string{} })

	healthy("callbacks", addCallbacks)
	healthy("counters", makeCounters)
	healthy("static-pages", servePages)
	healthy("code-tables", makeDecoders)
	healthy("work-buffers", makeStages)
	healthy("request-counts", countRequests)
	healthy("card-readers", dealCards)
}

// The closure needs one byte of the file, and keeps the file.

var watchers []func() byte

func watchBytes(cured bool) {
	for i := 0; i < 8; i++ {
		big := body(mib)
		part := big[512:513]
		if cured {
			part = append([]byte(nil), part...)
		}
		watchers = append(watchers, func() byte { return part[0] })
	}
}

// The closure captures all of the data for its first ten bytes.

var handlers = map[string]func() []byte{}

func addHandlers(cured bool) {
	for i := 0; i < 8; i++ {
		data := body(mib)
		if cured {
			data = append([]byte(nil), data[:10]...)
		}
		handlers[string(rune('a'+i))] = func() []byte { return data[:10] }
	}
}

// Method values of views that were closed long ago and never unregistered.

type view struct {
	pixels []byte
	title  string
}

func (v *view) onChange() string { return v.title }

var listeners []func() string

func listen(cured bool) {
	for i := 0; i < 8; i++ {
		v := &view{pixels: body(mib), title: "view"}
		listeners = append(listeners, v.onChange)
		if cured {
			listeners = listeners[:len(listeners)-1]
		}
	}
	if cured {
		listeners = nil
	}
}

var mux = http.NewServeMux()

func serveTemplates(cured bool) {
	for i := 0; i < 8; i++ {
		data := body(mib)
		title := data[:10]
		if cured {
			title = append([]byte(nil), title...)
		}
		mux.HandleFunc("/"+string(rune('a'+i)), func(w http.ResponseWriter, r *http.Request) { w.Write(title) })
	}
}

// The first line is all that is shown; a page is asked for through an interface.

type excerpt interface{ show(to io.Writer) }

type excerptFunc func(to io.Writer)

func (f excerptFunc) show(to io.Writer) { f(to) }

var previews = map[string]excerpt{}

func preview(text []byte) excerpt {
	return excerptFunc(func(to io.Writer) { to.Write(text[:40]) })
}

func showAll(to io.Writer) {
	for _, p := range previews {
		p.show(to)
	}
}

func servePreviews(cured bool) {
	for i := 0; i < 6; i++ {
		text := body(mib)
		if cured {
			text = append([]byte(nil), text[:40]...)
		}
		previews[fmt.Sprint("/", i)] = preview(text)
	}
	showAll(io.Discard)
}

// Only the last point of each curve is a limit.

var limitCurves []func(used uint64) bool

func compileLimit(cured bool) func(used uint64) bool {
	var curve [4096]uint64
	for i := range curve {
		curve[i] = uint64(i * len(limitCurves))
	}
	if cured {
		last := curve[len(curve)-1]
		return func(used uint64) bool { return used < last }
	}
	return func(used uint64) bool { return used < curve[len(curve)-1] }
}

func compileLimits(cured bool) {
	for i := 0; i < 100; i++ {
		limitCurves = append(limitCurves, compileLimit(cured))
	}
}

// What a plugin is asked for is a word of its manifest; the closure captured the plugin, and that has its whole archive.

type plugin struct {
	archive []byte
	name    string
	version [2]int
}

func (p *plugin) describe(format string) string { return fmt.Sprintf(format, p.name, p.version[0]) }

var plugins = map[string]func() string{}

func loadPlugins(cured bool) {
	for i := 0; i < 16; i++ {
		p := &plugin{archive: body(mib / 2), name: fmt.Sprint("plugin ", i)}
		if cured {
			p.archive = nil
		}
		plugins[p.name] = func() string {
			if p.version[1] > 0 {
				return p.describe("%s %d, a preview")
			}
			return p.describe("%s %d")
		}
	}
}

// ---- healthy

// Handlers that write all of what they captured.

var staticPages map[string]func(io.Writer, *http.Request) error

func servePages() {
	staticPages = map[string]func(io.Writer, *http.Request) error{}
	for i := 0; i < 60; i++ {
		page := body(128 << 10)
		head := page[:512]
		staticPages[fmt.Sprint("/page/", i)] = func(w io.Writer, r *http.Request) error {
			if r.Method == "HEAD" {
				_, err := w.Write(head)
				return err
			}
			_, err := w.Write(page)
			return err
		}
	}
}

// Closures that look up in tables of their own what they are called with.

var decoders []func(codes []byte) int

func makeDecoders() {
	for i := 0; i < 20; i++ {
		table := make([]int, 64<<10)
		for k := range table {
			table[k] = k * i
		}
		decoders = append(decoders, func(codes []byte) (sum int) {
			for _, code := range codes {
				sum += table[int(code)]
			}
			return sum
		})
	}
}

// Stages of a pipeline, each with its own memory to work in.

var stages []func(in []byte) []byte

func makeStages() {
	for i := 0; i < 6; i++ {
		buffer, key := make([]byte, mib), byte(i)
		stages = append(stages, func(in []byte) []byte {
			n := copy(buffer, in)
			buffer[0] ^= key
			return buffer[:n]
		})
	}
}

// Middleware that counts in a map under a lock.

var admissions []func(client string) bool

func countRequests() {
	for i := 0; i < 12; i++ {
		seen := map[string]int{}
		for k := 0; k < 3000; k++ {
			seen[fmt.Sprint("10.0.", i, k)] = k
		}
		var mutex sync.Mutex
		admissions = append(admissions, func(client string) bool {
			mutex.Lock()
			defer mutex.Unlock()
			seen[client]++
			return seen[client] < 100
		})
	}
}

// Readers that go through their cards, one at each call.

type card struct {
	next *card
	text []byte
}

var dealers []func() []byte

func dealCards() {
	for i := 0; i < 8; i++ {
		var cards *card
		for k := 0; k < 200; k++ {
			cards = &card{cards, body(4096)}
		}
		dealers = append(dealers, func() []byte {
			if cards == nil {
				return nil
			}
			text := cards.text
			cards = cards.next
			return text
		})
	}
}

var (
	callbacks []func() int
	tables    []*[1000]int
)

// What the closures capture is in use elsewhere too.
func addCallbacks() {
	for i := 0; i < 200; i++ {
		table := &[1000]int{}
		tables = append(tables, table)
		callbacks = append(callbacks, func() int { return table[3] })
	}
}

var counterFuncs []func() int

func makeCounters() {
	for i := 0; i < 50000; i++ {
		x := i
		counterFuncs = append(counterFuncs, func() int { x++; return x })
	}
}
