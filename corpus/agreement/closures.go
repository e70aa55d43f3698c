package main

import "bytes"

type counter struct {
	n    int
	name string
	big  []byte
}

func (c *counter) add(i int) int { c.n += i; return c.n }
func (c counter) value() int     { return c.n }

type adder interface{ add(int) int }

var (
	closures   []func(int) int
	methods    []func(int) int
	values     []func() int
	recursive  func(int) int
	registered = map[string]func() int{}
	plain      = func(i int) int { return i }
	handlers   []func() []byte
)

func byValue(big *wide, small string) func(int) int {
	return func(i int) int { return int(big[i]) + len(small) }
}

func byReference() (func(int) int, func(int) int) {
	total := 0
	array := [64]*int{}
	return func(i int) int { total += i; array[i] = &total; return total },
		func(i int) int { total -= i; return *array[i] }
}

func init() {
	register("closures", func() {
		for i := 0; i < 1000; i++ {
			closures = append(closures, byValue(new(wide), text(i)))
			up, down := byReference()
			up(i % 64)
			closures = append(closures, up, down)
			c := &counter{i, text(i), make([]byte, i)}
			methods = append(methods, c.add, adder(c).add)
			values = append(values, c.value)
		}
		memory := map[int]int{}
		recursive = func(i int) int {
			if i < 2 {
				return i
			}
			if _, ok := memory[i]; !ok {
				memory[i] = recursive(i-1) + recursive(i-2)
			}
			return memory[i]
		}
		recursive(50)
		for i := 0; i < 100; i++ {
			data := make([]byte, 10000)
			head := data[:10]
			registered[text(i)] = func() int { return len(head) }
			var b bytes.Buffer
			b.Write(data)
			handlers = append(handlers, b.Bytes)
		}
		closures = append(closures, plain)
		local := &counter{big: make([]byte, 3000)}
		spawn(func() {
			defer local.add(1)
			block()
		})
	})
}
