// Growth grows in one way at a time, step by step, as services do: for ever, or for a while and then no more.
//
//	growth              prints the names of the cases
//	growth sessions     takes the first step, collects, says "ready step=1" and holds still
//
// A byte on standard input makes it take one step more and say so again. End of file ends the program. expected.txt says
// what heapwhy must say when it compares the steps; of the cases that are not there it must say nothing.
//
// To add a case, write it into grow.go or healthy.go, registered by the file's init, and for what grows without end a
// line into expected.txt.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
)

// What is done in each step; the first one is 1.
var cases = map[string]func(step int){}

// What is done in addition behind the collections of each step; most cases do nothing.
var later = map[string]func(step int){}

const kib = 1 << 10

// body stands for something read: a request, a file, a row.
//
//go:noinline
func body(size int) []byte {
	return make([]byte, size)
}

func say(step int) {
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	if then := later[os.Args[1]]; then != nil {
		then(step)
	}
	fmt.Printf("ready step=%d\n", step)
}

func main() {
	if len(os.Args) != 2 {
		names := []string{}
		for name := range cases {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	if os.Args[1] == "local" {
		local()
		return
	}
	grow := cases[os.Args[1]]
	wait := make([]byte, 1)
	for step := 1; ; step++ {
		grow(step)
		say(step)
		if n, _ := os.Stdin.Read(wait); n == 0 {
			return
		}
	}
}
