// Running never holds still: goroutines compute, allocate, make system calls and call C while heapwhy looks. Beside
// them lies memory whose fate is known: main.keeper objects that must be found alive, and main.leaver objects that
// nothing refers to any more and no collection has freed yet.
//
//	running spin|calls|storm|syscalls|cgo ...    or: running all
//
// It prints "ready pid=P keepers=N leavers=N" and waits for its standard input: a byte makes it collect and print
// "collected freed=N", objects of any kind, then plant new leavers and print "ready" again; end of file ends it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

type keeper struct {
	id   int
	next *keeper
	body [64]byte
}

type leaver struct {
	id   int
	next *leaver
	body [64]byte
}

const keepers, leavers = 10000, 5000

var (
	kept      [keepers / 2]*keeper
	byChannel = make(chan *keeper, keepers/2)
	workers   = map[string]func(){}
)

// plant makes objects that a global, a channel and a blocked goroutine keep.
func plant() {
	for i := range kept {
		kept[i] = &keeper{id: i}
	}
	for i := 0; i < keepers/4; i++ {
		byChannel <- &keeper{id: i}
	}
	go func() {
		var list *keeper
		for i := 0; i < keepers/4; i++ {
			list = &keeper{id: i, next: list}
		}
		planted <- true
		<-never
		for ; list != nil; list = list.next {
			list.id++
		}
	}()
	<-planted
}

var planted, never = make(chan bool), make(chan bool)

// drop makes objects that nothing refers to: linked, so that one false reference would be seen many times over.
// It runs in a goroutine of its own, whose stack is gone before anybody looks.
func drop() {
	others, done := runtime.NumGoroutine(), make(chan bool)
	go func() {
		var list *leaver
		for i := 0; i < leavers; i++ {
			list = &leaver{id: i, next: list}
		}
		list = nil
		close(done)
	}()
	<-done
	// While others run the count may be wrong for a moment, in either direction (runtime.gcount).
	for quiet, looks := 0, 0; quiet < 5 && looks < 1000; looks++ {
		if quiet++; runtime.NumGoroutine() > others {
			quiet = 0
		}
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func step(x uint64) uint64 {
	return x*6364136223846793005 + 1442695040888963407
}

var results [64]uint64

func init() {
	workers["spin"] = func() { // a loop without a call: only a signal stops it
		x := uint64(1)
		for {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			if x == 0 {
				results[0]++
			}
		}
	}
	workers["calls"] = func() {
		x := uint64(1)
		own := new([64]byte)
		for {
			x = step(x)
			own[x%64]++
		}
	}
	workers["storm"] = func() { // the collector is off while heapwhy looks, so the storm reuses what it has
		ring := make([]*[200]byte, 1000)
		for i := 0; ; i++ {
			if i < 200000 {
				ring[i%len(ring)] = new([200]byte)
			} else if i%1000 == 0 {
				runtime.Gosched()
			}
			ring[i%len(ring)][i%200]++
		}
	}
	workers["syscalls"] = func() {
		buffer := make([]byte, 256)
		fd, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
		if err != nil {
			panic(err)
		}
		for {
			syscall.Read(fd, buffer)
		}
	}
}

func main() {
	var names []string
	for _, name := range os.Args[1:] {
		if name == "all" {
			names = nil
			for each := range workers {
				names = append(names, each)
			}
			break
		}
		if workers[name] == nil {
			fmt.Fprintf(os.Stderr, "running: no worker called %s\n", name)
			os.Exit(2)
		}
		names = append(names, name)
	}
	runtime.GOMAXPROCS(4)
	for _, name := range names {
		go workers[name]()
	}
	plant()
	var input [1]byte
	for {
		// In this order: a collection that the storm has asked for may begin after the collector is turned off (gcStart
		// looks before it waits for the world), and what drop makes while it marks is freed by the next one only.
		debug.SetGCPercent(-1)
		runtime.GC()
		drop()
		fmt.Printf("ready pid=%d keepers=%d leavers=%d\n", os.Getpid(), keepers, leavers)
		if n, _ := os.Stdin.Read(input[:]); n != 1 {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		runtime.GC()
		runtime.ReadMemStats(&after)
		fmt.Printf("collected freed=%d\n", after.Frees-before.Frees)
	}
}
