package main

import "net/http"

func init() {
	pair("closure-window", watchBytes, func() { watchers = nil })
	pair("handlers", addHandlers, func() { handlers = map[string]func() []byte{} })
	pair("listeners", listen, func() { listeners = nil })
	pair("http-handler", serveTemplates, nil)

	healthy("callbacks", addCallbacks)
	healthy("counters", makeCounters)
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

// ---- healthy

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
