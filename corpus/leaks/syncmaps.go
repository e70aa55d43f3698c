package main

import (
	"strconv"
	"sync"
)

func init() {
	pair("syncmap-deleted", deleteKeys, func() { sessions = &sync.Map{} })
	healthy("syncmap-range", rangeValues)
	healthy("syncmap-replaced", replaceValues)
	healthy("syncmap-full", fillSyncMap)
	healthy("syncmap-slices", shareSlices)
}

// Up to go 1.23 a deleted key stays in the read map until many new keys come.

var sessions *sync.Map

func deleteKeys(cured bool) {
	sessions = &sync.Map{}
	for i := 0; i < 4000; i++ {
		sessions.Store(strconv.Itoa(i)+string(body(1000)), i)
	}
	sessions.Range(func(key, value interface{}) bool { return true })
	sessions.Range(func(key, value interface{}) bool {
		sessions.Delete(key)
		return true
	})
	if cured {
		sessions = &sync.Map{}
	}
}

// ---- healthy

var ranged sync.Map

// What was deleted while somebody walked the map is freed.
func rangeValues() {
	for i := 0; i < 10; i++ {
		ranged.Store(i, body(mib))
	}
	ranged.Range(func(key, value interface{}) bool {
		ranged.Delete(key)
		return true
	})
}

var replaced sync.Map

func replaceValues() {
	for i := 0; i < 20; i++ {
		replaced.Store("list", body(mib))
	}
}

var filled sync.Map

func fillSyncMap() {
	for i := 0; i < 20000; i++ {
		filled.Store(i, strconv.Itoa(i))
	}
	filled.Range(func(key, value interface{}) bool { return true })
}

var sliced sync.Map

func shareSlices() {
	all := body(mib)
	for i := 0; i < 16; i++ {
		sliced.Store(i, all[i<<16:(i+1)<<16])
	}
}
