// Library is Go inside a C program: an archive that host/main.c is linked with. It allocates, blocks goroutines, collects,
// says what the runtime counts, and returns to C, which holds still.
package main

import "C"

import (
	"settled"
	"strconv"
)

type order struct {
	number int
	body   []byte
	next   *order
}

var (
	orders []*order
	byName = map[string]*order{}
	never  = make(chan int)
)

//export Fill
func Fill(count C.int) {
	var last *order
	for i := 0; i < int(count); i++ {
		last = &order{number: i, body: make([]byte, 100+i%400), next: last}
		orders = append(orders, last)
		byName["order "+strconv.Itoa(i%1000)] = last
	}
	for i := 0; i < 5; i++ {
		go func() { <-never }()
	}
}

//export Report
func Report() {
	settled.Report()
}

func main() {}
