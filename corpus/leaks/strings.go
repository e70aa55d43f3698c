package main

import "strconv"

func init() {
	pair("same-strings", readRows, nil)
	healthy("different-strings", readNames)
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

// ---- healthy

var names []string

func readNames() {
	for i := 0; i < 50000; i++ {
		names = append(names, strconv.Itoa(i)+string(body(150)))
	}
}
