//go:build go1.21

package main

import "runtime"

var pinner runtime.Pinner

func init() {
	register("pinner", func() {
		for i := 0; i < 20; i++ {
			// A pinned object is alive without another reference.
			pinner.Pin(wideAt(i))
			pinner.Pin(newResource(i))
			var local runtime.Pinner
			p := new(wide)
			local.Pin(p)
			local.Unpin()
		}
		spawn(func() {
			var local runtime.Pinner
			local.Pin(new(wide))
			block()
			local.Unpin()
		})
	})
}
