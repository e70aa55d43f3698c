package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

func init() {
	pair("sparse-spans", thinOut, nil)
	pair("samples-kept", sampleStream, nil)
	healthy("tokens-expired", expireTokens)
	leaks["burst-over"] = leak{build: func() {}, last: func() { export(false) }}
	leaks["burst-over-cured"] = leak{build: func() {}, last: func() { export(true) }}
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

// ---- small ones in a list: what is sampled of a stream

type observation struct {
	values [14]uint64
	next   *observation
}

type observer struct {
	first *observation
}

func (s *observer) keep(r *observation) {
	r.next, s.first = s.first, r
}

var observed observer

func sampleStream(cured bool) {
	const each = 60
	stream := make([]*observation, 72000)
	for i := range stream {
		stream[i] = &observation{}
		stream[i].values[0] = uint64(i)
	}
	for i := 0; i < len(stream); i += each {
		if !cured {
			observed.keep(stream[i])
		}
	}
	if cured {
		copies := make([]observation, len(stream)/each)
		for i := range copies {
			copies[i] = *stream[i*each]
			observed.keep(&copies[i])
		}
	}
}

// ---- healthy

type token struct {
	user, expires int64
}

var tokens map[string]*token

// Few are left of many, and a map was made for them. That the spans of their tokens and names are sparse now is not
// worth a word.
func expireTokens() {
	tokens = map[string]*token{}
	for i := int64(0); i < 150000; i++ {
		tokens[fmt.Sprintf("token%011d", i)] = &token{i, i % 100}
	}
	left := map[string]*token{}
	for name, t := range tokens {
		if t.expires >= 98 {
			left[name] = t
		}
	}
	tokens = left
}

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

// A night's export needed half a GiB, and nothing will again for long. The runtime gives such pages back in the background,
// as soon as what it has exceeds what the collection before last found in use, scaled by how the goal has changed since
// (runtime/mgcscavenge.go, gcPaceScavenger, 1.19 to 1.27). Without a goal it is the export itself that was in use: the
// pages stay until the next collection, however late somebody looks.
func export(cured bool) {
	debug.SetGCPercent(-1)
	peak = body(512 << 20)
	peak = nil
	runtime.GC()
	if cured {
		debug.FreeOSMemory()
	}
}
