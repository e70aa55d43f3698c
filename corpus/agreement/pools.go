package main

import (
	"sync"
	"sync/atomic"
)

var (
	pool       = sync.Pool{New: func() any { return new(wide) }}
	bigPool    sync.Pool
	nestedPool = &struct {
		inner *sync.Pool
		name  string
	}{new(sync.Pool), "nested"}
	syncMap    sync.Map
	syncMapOld sync.Map
	atomicAny  atomic.Value
	atomicPtr  atomic.Pointer[resource]
)

func init() {
	c := register("pools", func() {
		for i := 0; i < 1000; i++ {
			syncMap.Store(text(i), pointer(i))
			syncMapOld.Store(i, text(i))
		}
		for i := 0; i < 1000; i++ {
			syncMap.Load(text(i))
			if i%3 == 0 {
				syncMap.Delete(text(i))
			}
			syncMapOld.Delete(i)
		}
		for i := 0; i < 300; i++ {
			syncMap.LoadOrStore(i, newResource(i))
		}
		atomicAny.Store(map[string]int{"one": 1})
		atomicPtr.Store(newResource(1))
		atomicPtr.Swap(newResource(2))
	})
	// A collection moves what was put to the victims and drops the victims before it: put anew each time.
	c.prime = func() {
		for i := 0; i < 100; i++ {
			pool.Put(new(wide))
			bigPool.Put(make([]byte, 1000))
			nestedPool.inner.Put(newResource(i))
		}
		for i := 0; i < 10; i++ {
			pool.Get()
		}
		var gone sync.Pool
		gone.Put(new(wide))
	}
}
