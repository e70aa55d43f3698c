package main

import (
	"container/list"
	"container/ring"
)

func init() {
	pair("list-removed", removeElements, func() { removed = nil })
	pair("list-init", initList, func() { cursor = nil })
	pair("list-dead", dropList, func() { position = nil })

	healthy("list-live", useList)
	healthy("list-cursor", useCursor)
	healthy("list-recycled", clearRemoved)
	healthy("list-values", takeValues)
	healthy("ring", useRing)
}

// An element that was removed keeps its value as long as somebody keeps the element.

var removed []*list.Element

func removeElements(cured bool) {
	l := list.New()
	for i := 0; i < 8; i++ {
		l.PushBack(body(mib))
	}
	for e := l.Front(); e != nil; e = l.Front() {
		l.Remove(e)
		if !cured {
			removed = append(removed, e)
		}
	}
}

// Init forgets the elements, but they do not forget one another.

var (
	cursor  *list.Element
	history = list.New()
)

func initList(cured bool) {
	for i := 0; i < 8; i++ {
		cursor = history.PushBack(body(mib))
	}
	history.Init()
	if cured {
		cursor = nil
	}
}

// The list is gone; one of its elements keeps all the others.

var position *list.Element

func dropList(cured bool) {
	l := list.New()
	for i := 0; i < 8; i++ {
		position = l.PushBack(body(mib))
	}
	if cured {
		position = nil
	}
}

// ---- healthy

var (
	live  = list.New()
	byKey = map[int]*list.Element{}
)

// The usual cache: a list by age and a map into it.
func useList() {
	for i := 0; i < 500; i++ {
		byKey[i] = live.PushFront(body(10000))
		if i >= 300 {
			oldest := live.Back()
			live.Remove(oldest)
			delete(byKey, i-300)
		}
	}
}

var (
	playlist = list.New()
	playing  *list.Element
)

func useCursor() {
	for i := 0; i < 100; i++ {
		playlist.PushBack(body(50000))
	}
	playing = playlist.Front().Next()
}

var recycled []*list.Element

func clearRemoved() {
	l := list.New()
	for i := 0; i < 50000; i++ {
		e := l.PushBack(body(64))
		l.Remove(e)
		e.Value = nil
		recycled = append(recycled, e)
	}
}

var values []interface{}

// The list goes, its values are wanted.
func takeValues() {
	l := list.New()
	for i := 0; i < 100; i++ {
		l.PushBack(body(50000))
	}
	for e := l.Front(); e != nil; e = e.Next() {
		values = append(values, e.Value)
	}
}

var latest = ring.New(100)

func useRing() {
	for i := 0; i < 300; i++ {
		latest.Value = body(30000)
		latest = latest.Next()
	}
}
