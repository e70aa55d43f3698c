//go:build !go1.21

package main

func init() {
	nothing := func() {} // context.AfterFunc came with 1.21
	healthy("hooks-left", nothing)
	healthy("hooks-left-cured", nothing)
	healthy("hooks-live", nothing)
}
