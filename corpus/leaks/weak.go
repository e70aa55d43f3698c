//go:build go1.24

package main

import "weak"

// weakly returns a function that finds *p for as long as somebody else keeps it.
func weakly(p *mailbox) func() *mailbox {
	return weak.Make(p).Value
}
