//go:build go1.23 && !go1.27

// The timers of Go 1.23, which the module's language version would switch off.
//go:debug asynctimerchan=0

package main
