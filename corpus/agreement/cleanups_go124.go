//go:build go1.24

package main

import (
	"runtime"
	"sync/atomic"
)

var (
	cleaned  atomic.Int64
	attended []*resource
	stopped  runtime.Cleanup
)

func init() {
	register("cleanups", func() {
		for i := 0; i < 300; i++ {
			r := newResource(i)
			runtime.AddCleanup(r, func(p *pair) { cleaned.Add(1) }, &pair{text(i), 0})
			runtime.AddCleanup(r, func(n int) { cleaned.Add(int64(n)) }, i)
			runtime.AddCleanup(&r.body[5], func(s string) { cleaned.Add(int64(len(s))) }, text(i))
			attended = append(attended, r)
			runtime.AddCleanup(newResource(i), func(p *pair) { cleaned.Add(1) }, &pair{text(i), 0})
			stopped = runtime.AddCleanup(r, func(p *pair) { cleaned.Add(1) }, &pair{text(i), 1})
			if i%2 == 0 {
				stopped.Stop()
			}
			both := newResource(i)
			runtime.AddCleanup(both, func(p *pair) { cleaned.Add(1) }, &pair{text(i), 0})
			runtime.SetFinalizer(both, func(r *resource) { risen = append(risen, r) })
		}
		collect(4)
	})

	register("cleanups-pending", func() {
		entered := make(chan bool, 1000)
		for try := 0; try < 20; try++ {
			// Several goroutines may serve cleanups: block as many as come.
			for i := 0; i < 20; i++ {
				runtime.AddCleanup(newResource(i), func(p *pair) {
					entered <- true
					block()
					sink(p)
				}, &pair{text(i), 0})
			}
			collect(1)
		}
		for i := 0; i < 300; i++ {
			r := newResource(i)
			runtime.AddCleanup(r, func(p *pair) { cleaned.Add(1) }, &pair{text(i), 0})
		}
		collect(3)
	}).last = true
}
