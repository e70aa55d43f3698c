// Cmemory leaks C's memory, which Go's collector does not know.
//
//	cmemory               prints the names of the cases
//	cmemory c-strings     builds the case, says "ready heap_alloc=N" and holds still until its input ends
package main

// #include <stdlib.h>
// #include <string.h>
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"
)

var passed int

// Text is handed to a C library, and nobody frees the copy.
func passStrings(cured bool) {
	text := strings.Repeat("a line for the library\n", 50000)
	for i := 0; i < 192; i++ {
		copied := C.CString(text)
		passed += int(C.strlen(copied))
		if cured {
			C.free(unsafe.Pointer(copied))
		}
	}
}

var kept [][]byte

func main() {
	cases := map[string]func(){
		"c-strings":       func() { passStrings(false) },
		"c-strings-cured": func() { passStrings(true) },
		// A library that takes much beside a program that has as much itself.
		"c-library": func() {
			passStrings(false)
			for i := 0; i < 160; i++ {
				kept = append(kept, make([]byte, 1<<20))
			}
		},
	}
	if len(os.Args) != 2 {
		fmt.Println("c-strings\nc-strings-cured\nc-library")
		return
	}
	cases[os.Args[1]]()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("ready heap_alloc=%d\n", m.HeapAlloc)
	os.Stdin.Read(make([]byte, 1))
}
