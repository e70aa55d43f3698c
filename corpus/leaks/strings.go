package main

import "strconv"

func init() {
	pair("same-strings", readRows, nil)
	pair("short-strings", readOrders, nil)
	healthy("different-strings", readNames)
	healthy("alike-strings", readSerials)
}

// The same few texts, read again for every row.

type row struct {
	country string
	id      int
}

var rows []row

func readRows(cured bool) {
	known := map[string]string{}
	for i := 0; i < 50000; i++ {
		country := strconv.Itoa(i%100) + string(body(150))
		if cured {
			if first, seen := known[country]; seen {
				country = first
			} else {
				known[country] = country
			}
		}
		rows = append(rows, row{country, i})
	}
}

// Orders have a state, of which there are few, and a number, of which each has its own. Both are short, and the numbers
// begin alike.

type order struct{ state, number string }

var orders []order

func readOrders(cured bool) {
	known := map[string]string{}
	for i := 0; i < 100000; i++ {
		state := "clerk-" + strconv.Itoa(10+i%30) + "-is-asked-for"
		if cured {
			if first, seen := known[state]; seen {
				state = first
			} else {
				known[state] = state
			}
		}
		orders = append(orders, order{state, serial(i)})
	}
}

func serial(i int) string {
	return "serial-number-no-" + strconv.Itoa(1000000+i)
}

// ---- healthy

var serials []string

func readSerials() {
	for i := 0; i < 100000; i++ {
		serials = append(serials, serial(i))
	}
}

var names []string

func readNames() {
	for i := 0; i < 50000; i++ {
		names = append(names, strconv.Itoa(i)+string(body(150)))
	}
}
