//go:build !go1.24

package main

// weakly stands for what came with 1.24.
func weakly(p *mailbox) func() *mailbox {
	return func() *mailbox { return p }
}
