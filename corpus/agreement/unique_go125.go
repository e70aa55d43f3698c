//go:build go1.25

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

// In Go 1.23 and 1.24 what package unique does allows no comparison (src/unique/handle.go, addUniqueMap). At the start
// of every collection a goroutine walks its maps while the collector marks. The walk allocates closures (in 1.23 only
// without inlining), which count as marked although nothing refers to them. And it asks each weak pointer for its value
// to see whether it is gone, which keeps most of the dead alive for one collection more, time after time.
func init() {
	register("unique", func() {
		for i := 0; i < 1000; i++ {
			h := unique.Make(text(i % 300))
			g := unique.Make(pair{text(i), int32(i)})
			if i%3 == 0 {
				handles = append(handles, h)
				handles2[g] = i
			}
		}
		for i := 0; i < 50; i++ {
			addresses = append(addresses, netip.MustParseAddr("fe80::1%zone"+string(rune('a'+i%26))))
		}
		collect(4)
	})
}
