//go:build go1.21

package main

import (
	"context"
	"io"
	"sync"
)

func init() {
	pair("hooks-left", watchFolders, nil)
	healthy("hooks-live", keepStreams)
}

// A watcher is closed with its server, and nobody tells the server when it is done before that.

type folderWatcher struct {
	name   string
	buffer []byte
	used   int
}

func (w *folderWatcher) Close() error {
	w.buffer = w.buffer[:w.used]
	return nil
}

func (w *folderWatcher) read() int {
	w.used = copy(w.buffer, w.name)
	return w.used
}

var daemon, stopDaemon = context.WithCancel(context.Background())

func watchFolder(name string, cured bool) int {
	w := &folderWatcher{name: name, buffer: body(64 << 10)}
	done := context.AfterFunc(daemon, func() { w.Close() })
	if cured {
		defer done()
	}
	return w.read()
}

func watchFolders(cured bool) {
	for i := 0; i < 64; i++ {
		length += watchFolder(string(body(8)), cured)
	}
}

// Streams that are open are closed with the server as well.

var liveStreams sync.Map

func keepStreams() {
	for i := 0; i < 1500; i++ {
		var stream io.Closer = &folderWatcher{name: string(body(8)), buffer: body(4096)}
		context.AfterFunc(daemon, func() { stream.Close() })
		liveStreams.Store(i, stream)
	}
}
