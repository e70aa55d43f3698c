//go:build go1.23

package main

import "iter"

var pulls []func() (*int, bool)

func init() {
	register("pull", func() {
		for i := 0; i < 50; i++ {
			next, stop := iter.Pull(func(yield func(*int) bool) {
				held := wideAt(i)
				for n := 0; ; n++ {
					if !yield(pointer(n)) {
						return
					}
					held[1]++
				}
			})
			for j := 0; j < i%5; j++ {
				next()
			}
			pulls = append(pulls, next)
			if i%7 == 0 {
				stop()
			}
		}
	})
}
