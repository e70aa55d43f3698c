// Plugged is the plugin: a second module with data, types, functions and stack maps of its own.
package main

import "strconv"

type entry struct {
	key    *int
	values []string
}

var (
	Entries []*entry
	index   = map[string]*entry{}
	static  = &entry{values: []string{"static"}}
)

func Fill() {
	for i := 0; i < 1000; i++ {
		key := i
		e := &entry{key: &key, values: make([]string, 700)}
		e.values[3] = strconv.Itoa(i)
		Entries = append(Entries, e)
		index[e.values[3]] = e
	}
}

func Block(c chan int) {
	held := &entry{values: []string{strconv.Itoa(len(index))}}
	<-c
	held.values = append(held.values, static.values...)
}
