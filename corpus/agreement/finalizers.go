package main

import "runtime"

type resource struct {
	id   int
	body []byte
	peer *resource
}

var (
	watched   []*resource
	risen     []*resource
	finalized int
	owner     *resource
)

func newResource(i int) *resource {
	return &resource{id: i, body: make([]byte, 100+i%50)}
}

//go:noinline
func dropped() {
	for i := 0; i < 200; i++ {
		runtime.SetFinalizer(newResource(i), func(r *resource) { finalized++ })
		// Comes back to life, once.
		runtime.SetFinalizer(newResource(i), func(r *resource) { risen = append(risen, r) })
		// A cycle with a finalizer is never collected.
		a, b := newResource(i), newResource(i)
		a.peer, b.peer = b, a
		runtime.SetFinalizer(a, func(r *resource) { finalized++ })
		// A finalizer that refers to its own object keeps it as well.
		self := newResource(i)
		runtime.SetFinalizer(self, func(r *resource) { self.id++ })
		// A chain is finalized one link a collection.
		head := &resource{id: i, peer: newResource(i)}
		runtime.SetFinalizer(head, func(r *resource) { finalized++ })
		runtime.SetFinalizer(head.peer, func(r *resource) { finalized++ })
	}
}

func init() {
	register("finalizers", func() {
		for i := 0; i < 300; i++ {
			r := newResource(i)
			extra := text(i)
			runtime.SetFinalizer(r, func(r *resource) { sink(extra) })
			watched = append(watched, r)
			gone := newResource(i)
			runtime.SetFinalizer(gone, func(r *resource) {})
			runtime.SetFinalizer(gone, nil)
		}
		owner = newResource(0)
		runtime.SetFinalizer(owner, (*resource).release)
		small := new(int32)
		runtime.SetFinalizer(small, func(*int32) {})
		dropped()
		collect(4)
	})

	register("finalizers-pending", func() {
		entered := make(chan bool, 1)
		func() {
			runtime.SetFinalizer(newResource(0), func(r *resource) {
				held := newResource(1)
				entered <- true
				block()
				sink(held)
			})
		}()
		// In Go 1.24 a blocked cleanup may have taken the goroutine already.
		for try := 0; try < 20 && len(entered) == 0; try++ {
			collect(1)
		}
		// The goroutine that runs finalizers is busy for good: these stay queued, alive with all they refer to.
		func() {
			for i := 0; i < 500; i++ {
				message := text(i)
				r := newResource(i)
				r.peer = newResource(i)
				runtime.SetFinalizer(r, func(r *resource) { sink(message) })
			}
		}()
		collect(3)
	}).last = true
}

func (r *resource) release() { r.body = nil }
