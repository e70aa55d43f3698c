//go:build go1.23 && (!go1.24 || go1.25)

package main

import (
	"net/netip"
	"unique"
)

var (
	handles   []unique.Handle[string]
	handles2  = map[unique.Handle[pair]]int{}
	addresses []netip.Addr
)

// Not with Go 1.24: at the start of each collection a goroutine walks every unique map and allocates two closures
// while the collector marks, so they count as marked although nothing refers to them (src/unique/handle.go,
// addUniqueMap; the walk of Go 1.23 needs none).
func init() {
	register("unique", func() {
		for i := 0; i < 1000; i++ {
			h := unique.Make(text(i % 300))
			g := unique.Make(pair{text(i), int32(i)})
			handles = append(handles, h)
			handles2[g] = i
		}
		for i := 0; i < 50; i++ {
			addresses = append(addresses, netip.MustParseAddr("fe80::1%zone"+string(rune('a'+i%26))))
		}
		collect(4)
	})
}
