//go:build go1.24

package main

import "weak"

var (
	weakLive  []weak.Pointer[resource]
	weakDead  []weak.Pointer[resource]
	weakInner []weak.Pointer[int]
	weakOwner []*resource
	weakTable = map[string]weak.Pointer[wide]{}
	weakField []struct {
		id int
		p  *int
	}
)

func init() {
	register("weak", func() {
		for i := 0; i < 500; i++ {
			r := newResource(i)
			weakOwner = append(weakOwner, r)
			weakLive = append(weakLive, weak.Make(r), weak.Make(r))
			weakInner = append(weakInner, weak.Make(&r.id))
			weakDead = append(weakDead, weak.Make(newResource(i)))
			weakTable[text(i)] = weak.Make(new(wide))
		}
		// Only the handle of a field is kept: the object itself goes.
		for i := 0; i < 100; i++ {
			r := newResource(i)
			weakInner = append(weakInner, weak.Make(&r.id))
		}
		collect(2)
	})
}
