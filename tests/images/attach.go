//go:build !go1.24

package main

func attach(n *node, i int) {}
