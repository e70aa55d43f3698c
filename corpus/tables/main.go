// Tables has what generators write: variables that begin with constants, so that they lie in .data, and that hold maps
// which are filled before main begins. The C linker, which comes with cgo, puts .data before all other variables. It
// collects, says what the runtime counts, and holds still until the end of its standard input.
package main

import "C"

import (
	"runtime"
	"settled"
	"strconv"
	"syscall"
)

type endpoint struct {
	host  string
	ports [20]*int32 // too large to lie in a map itself
}

type service struct {
	name      string
	endpoints map[string]endpoint
}

type partition struct {
	id, suffix string
	services   map[string]service
	order      []*service
}

var cloud = partition{id: "cloud", suffix: "example.org", services: services(100), order: order(1000)}

func services(count int) map[string]service {
	all := make(map[string]service)
	for i := 0; i < count; i++ {
		s := service{strconv.Itoa(i), make(map[string]endpoint)}
		for k := 0; k < 50; k++ {
			e := endpoint{host: strconv.Itoa(1000*i + k)}
			e.ports[0] = new(int32)
			s.endpoints[e.host] = e
		}
		all[s.name] = s
	}
	return all
}

func order(count int) []*service {
	var all []*service
	for i := 0; i < count; i++ {
		all = append(all, &service{name: strconv.Itoa(-i)})
	}
	return all
}

func main() {
	settled.Report()
	var input [1]byte
	syscall.Read(0, input[:])
	runtime.KeepAlive(&cloud)
}
