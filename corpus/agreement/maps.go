package main

import "math"

type wide [200]byte // larger than the 128 bytes that a map keeps inline

type wideWithPointer struct {
	name *int
	fill [40]uint64
}

type pair struct {
	a string
	b int32
}

// fill puts n entries in a new map and deletes all but every keep-th.
func fill[K comparable, V any](n, keep int, key func(int) K, value func(int) V) map[K]V {
	m := map[K]V{}
	for i := 0; i < n; i++ {
		m[key(i)] = value(i)
	}
	for i := 0; i < n; i++ {
		if keep > 1 && i%keep != 0 {
			delete(m, key(i))
		}
	}
	return m
}

func integer(i int) int                 { return i }
func integer32(i int) int32             { return int32(i) }
func integer64(i int) uint64            { return uint64(i) }
func text(i int) string                 { return "key" + string(rune('a'+i%26)) + string(rune(0x1000+i)) }
func pointer(i int) *int                { p := new(int); *p = i; return p }
func bytesOf(i int) []byte              { return make([]byte, i%100) }
func wideOf(i int) wide                 { return wide{byte(i), byte(i >> 8), byte(i >> 16)} }
func nothing(i int) struct{}            { return struct{}{} }
func boolean(i int) bool                { return i%2 == 0 }
func widePtr(i int) (w wideWithPointer) { w.name = pointer(i); w.fill[0] = uint64(i); return w }

var (
	mapIntInt       map[int]int
	mapIntInt32     map[int32]bool
	mapUint64       map[uint64]uint64
	mapStrings      map[string]string
	mapPointers     map[string]*int
	mapPointerKeys  map[*int]*int
	mapSlices       map[int][]byte
	mapWideKeys     map[wide]int
	mapWideElems    map[int]wide
	mapWidePointers map[int]wideWithPointer
	mapSet          map[string]struct{}
	mapPairs        map[pair]pair
	mapArrays       map[[4]byte]*pair
	mapAny          map[any]any
	mapFloats       map[float64]*int
	mapOfMaps       map[string]map[int]*int
	mapEmpty        map[string]int
	mapNil          map[string]int
	mapHinted       map[int]*int
	mapDeleted      map[string]*int
	mapThinned      map[int]*int
	mapGrowing      []map[int]*int
	mapFunctions    map[string]func() int
	mapNested       map[int]struct{ inner map[string]*wide }
)

func init() {
	register("maps", func() {
		mapIntInt = fill(10000, 1, integer, integer)
		mapIntInt32 = fill(1000, 1, integer32, boolean)
		mapUint64 = fill(3000, 1, integer64, integer64)
		mapStrings = fill(2000, 1, text, text)
		mapPointers = fill(2000, 1, text, pointer)
		mapPointerKeys = map[*int]*int{}
		for i := 0; i < 500; i++ {
			mapPointerKeys[pointer(i)] = pointer(-i)
		}
		mapSlices = fill(1000, 1, integer, bytesOf)
		mapWideKeys = fill(300, 1, wideOf, integer)
		mapWideElems = fill(300, 1, integer, wideOf)
		mapWidePointers = fill(300, 1, integer, widePtr)
		mapSet = fill(1000, 1, text, nothing)
		mapPairs = fill(500, 1, func(i int) pair { return pair{text(i), int32(i)} },
			func(i int) pair { return pair{text(-i & 0xfff), 0} })
		mapArrays = fill(500, 1, func(i int) [4]byte { return [4]byte{byte(i), byte(i >> 8)} },
			func(i int) *pair { return &pair{text(i), 1} })
		mapAny = map[any]any{1: "one", "two": 2, pair{"three", 3}: []int{3}, 4.5: nil, [2]int{5, 6}: new(int)}
		for i := 0; i < 200; i++ {
			mapAny[i*1000] = text(i)
		}
		mapFloats = map[float64]*int{}
		for i := 0; i < 100; i++ {
			mapFloats[math.NaN()] = pointer(i) // every NaN is a key of its own
			mapFloats[float64(i)] = pointer(i)
		}
		mapOfMaps = fill(50, 1, text, func(i int) map[int]*int { return fill(i, 1, integer, pointer) })
		mapEmpty = map[string]int{}
		mapHinted = make(map[int]*int, 5000)
		mapHinted[1] = new(int)
		mapDeleted = fill(3000, 1, text, pointer)
		for k := range mapDeleted {
			delete(mapDeleted, k)
		}
		mapThinned = fill(5000, 10, integer, pointer)
		// Sizes around powers of two: some of these maps are in the middle of moving to a larger table.
		for n := 1; n < 1<<14; n = n*9/8 + 1 {
			mapGrowing = append(mapGrowing, fill(n, 1, integer, pointer))
		}
		mapFunctions = map[string]func() int{}
		for i := 0; i < 100; i++ {
			i := i
			mapFunctions[text(i)] = func() int { return i }
		}
		mapNested = map[int]struct{ inner map[string]*wide }{}
		for i := 0; i < 40; i++ {
			mapNested[i] = struct{ inner map[string]*wide }{fill(5, 1, text, func(int) *wide { return new(wide) })}
		}
		spawn(func() { blockInRange(fill(1000, 1, integer, pointer)) })
		spawn(func() { blockInRange(fill(5, 1, integer, pointer)) })
	})
}

// blockInRange holds a map only by the iterator on its stack.
func blockInRange(m map[int]*int) {
	n := 0
	for _, v := range m {
		if n++; n == 3 {
			block()
		}
		*v++
	}
}
