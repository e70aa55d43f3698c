//go:build go1.23

package main

import "unique"

var _ = unique.Make("a")
