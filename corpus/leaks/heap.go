package main

import (
	"runtime"
	"runtime/debug"
)

func init() {
	pair("sparse-spans", thinOut, nil)
	// Done last, for the runtime gives back in the background what it can.
	leaks["burst-over"] = leak{build: func() {}, use: func() { export(false) }}
	leaks["burst-over-cured"] = leak{build: func() {}, use: func() { export(true) }}
	healthy("garbage-burst", burst)
	healthy("instances", countInstances)
}

type session struct {
	data [1000]byte
}

var survivors []*session

// One object of each span survived, and keeps its span.
func thinOut(cured bool) {
	all := make([]*session, 40000)
	for i := range all {
		all[i] = &session{}
	}
	for i := range all {
		if i%8 == 0 && !cured {
			survivors = append(survivors, all[i])
		}
	}
	if cured {
		for i := 0; i < len(all)/8; i++ {
			survivors = append(survivors, &session{})
		}
	}
}

// ---- healthy

func burst() {
	for i := 0; i < 30; i++ {
		length += len(body(mib))
	}
}

type activity struct {
	image   []byte
	message *activity
}

var activities []*activity

func countInstances() {
	for i := 0; i < 40; i++ {
		activities = append(activities, &activity{image: body(50000)})
	}
}

// ---- What is free and still in memory.

var peak []byte

// A night's export needed half a GiB, and nothing will again for long.
func export(cured bool) {
	peak = body(512 << 20)
	peak = nil
	runtime.GC()
	if cured {
		debug.FreeOSMemory()
	}
}
