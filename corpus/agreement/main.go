// Agreement builds memory of every kind that Go has, collects until nothing changes any more, says what the runtime
// itself counts, and holds still, so that heapwhy's count can be compared with the collector's.
//
//	agreement all            every case
//	agreement maps lists     some
//	agreement -all,timers    every case but these (after the minus, separated by commas)
//	agreement                prints the names
//
// After the last collection nothing is allocated and nothing dropped: the line "ready ..." is formatted into a fixed
// buffer and written by a raw system call. Then the program waits for its standard input: a byte makes it collect and
// report again, end of file ends it.
//
// To add a case, add a file whose init calls register.
package main

import (
	"fmt"
	"os"
	"runtime"
	"settled"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type testCase struct {
	name  string
	build func() // makes memory that globals or blocked goroutines keep
	prime func() // run before every collection: what a collection consumes, such as the contents of pools
	last  bool   // occupies a goroutine of the runtime for good: built after the others
}

var (
	cases  = map[string]*testCase{}
	chosen []*testCase
)

func register(name string, build func()) *testCase {
	c := &testCase{name: name, build: build}
	cases[name] = c
	return c
}

var spawned, arrived int32

// spawn starts a goroutine that is expected to block for good, and lets settle wait until it got that far.
func spawn(f func()) {
	spawned++
	go func() {
		atomic.AddInt32(&arrived, 1)
		f()
	}()
}

// never is received from by everything that shall block without further meaning.
var never = make(chan struct{})

func block() {
	<-never
}

// collect drops what the cases no longer hold, finalizers and their followers included.
func collect(times int) {
	for i := 0; i < times; i++ {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
}

var after *runtime.MemStats

// settle collects until the runtime's counters stand still.
func settle() {
	for atomic.LoadInt32(&arrived) < spawned {
		time.Sleep(time.Millisecond)
	}
	after = settled.Settle(func() {
		for _, c := range chosen {
			if c.prime != nil {
				c.prime()
			}
		}
	})
}

var line [256]byte

func report() {
	b := append(line[:0], "ready pid="...)
	b = strconv.AppendInt(b, int64(syscall.Getpid()), 10)
	b = append(b, " heap_alloc="...)
	b = strconv.AppendUint(b, after.HeapAlloc, 10)
	b = append(b, " heap_objects="...)
	b = strconv.AppendUint(b, after.HeapObjects, 10)
	b = append(b, " gc="...)
	b = strconv.AppendUint(b, uint64(after.NumGC), 10)
	b = append(b, " goroutines="...)
	b = strconv.AppendInt(b, int64(runtime.NumGoroutine()), 10)
	settled.Print(b)
}

func choose(arguments []string) {
	without := map[string]bool{}
	all := false
	for _, a := range arguments {
		if strings.HasPrefix(a, "-") {
			for _, name := range strings.Split(a[1:], ",") {
				without[name] = true
			}
			delete(without, "all")
			all = true
		} else if a == "all" {
			all = true
		} else if cases[a] == nil {
			fmt.Fprintf(os.Stderr, "agreement: no case called %s\n", a)
			os.Exit(2)
		} else {
			chosen = append(chosen, cases[a])
		}
	}
	if all {
		chosen = nil
		for name, c := range cases {
			if !without[name] {
				chosen = append(chosen, c)
			}
		}
	}
	sort.Slice(chosen, func(i, j int) bool {
		if chosen[i].last != chosen[j].last {
			return chosen[j].last
		}
		return chosen[i].name < chosen[j].name
	})
}

func main() {
	if len(os.Args) < 2 {
		names := make([]string, 0, len(cases))
		for name := range cases {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, " "))
		return
	}
	choose(os.Args[1:])
	for _, c := range chosen {
		c.build()
	}
	var input [1]byte
	for {
		settle()
		report()
		if n, err := syscall.Read(0, input[:]); n != 1 && err != syscall.EINTR {
			return
		}
	}
}
