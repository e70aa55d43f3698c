//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

var handles []weak.Pointer[node]

func attach(n *node, i int) {
	handles = append(handles, weak.Make(n))
	runtime.AddCleanup(n, func(text string) { finalized += len(text) }, text(i))
	handles = append(handles, weak.Make(&node{weight: i}))
}
