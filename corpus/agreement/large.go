package main

type half struct { // pointers in the first half only
	p [40]*int
	n [400]int
}

type sparse struct { // a pointer every 33 words
	cells [100]struct {
		n [32]int
		p *int
	}
}

type tail struct {
	n [9000]int
	p *int
}

var (
	noPointers   [][]byte
	withPointers [][]*int
	halves       []*half
	sparses      []*sparse
	tails        []*tail
	structures   [][]pair
	maps2        []map[int][]*int
	interfaces   [][]any
	huge         *[1 << 18]struct {
		p *int
		n int
	}
	insideHuge *int
	onlyTail   []*int
)

func init() {
	register("large", func() {
		for _, n := range []int{500, 512, 513, 1024, 5000, 8192, 32760, 32768, 32769, 40000, 1 << 17, 1<<20 + 1, 5 << 20} {
			noPointers = append(noPointers, make([]byte, n))
			with := make([]*int, n/8)
			with[0], with[len(with)/2], with[len(with)-1] = pointer(1), pointer(2), pointer(3)
			withPointers = append(withPointers, with)
			structured := make([]pair, n/24)
			structured[len(structured)-1].a = text(n & 0xfff)
			structures = append(structures, structured)
			any := make([]any, n/16)
			any[n/17] = wide{}
			interfaces = append(interfaces, any)
		}
		for i := 0; i < 50; i++ {
			h, s, t := new(half), new(sparse), new(tail)
			h.p[i%40] = pointer(i)
			s.cells[i].p = pointer(i)
			t.p = pointer(i)
			halves, sparses, tails = append(halves, h), append(sparses, s), append(tails, t)
			maps2 = append(maps2, map[int][]*int{i: make([]*int, 100*i)})
		}
		huge = new([1 << 18]struct {
			p *int
			n int
		})
		for i := range huge {
			if i%100 == 0 {
				huge[i].p = &huge[i].n // inside itself
			}
		}
		insideHuge = &new([1 << 17]int)[1<<17-1]
		row := make([]*int, 10000)
		for i := range row {
			row[i] = pointer(i)
		}
		onlyTail = row[9990:] // the window does not matter to the collector: all 10,000 stay
		spawn(func() { held := make([]*int, 100000); held[99999] = pointer(1); block(); *held[99999]++ })
	})
}
