//go:build go1.25

package main

import "unique"

// Handles that nobody keeps. Up to Go 1.24 they can hold no comparison: at the start of every collection a goroutine
// asks each of them for its value to see whether it is gone (src/unique/handle.go, registerCleanup), which keeps most
// of them alive for one collection more, time after time, though nothing refers to them.
func init() {
	register("unique-dropped", func() {
		for i := 0; i < 1000; i++ {
			h := unique.Make(text(i%300) + "dropped")
			g := unique.Make(pair{text(i), -int32(i) - 1})
			if i%3 == 0 {
				handles = append(handles, h)
				handles2[g] = i
			}
		}
		collect(4)
	})
}
