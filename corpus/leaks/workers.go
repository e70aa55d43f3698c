package main

import "time"

// What only goroutines know of: slices and maps in variables of functions that go on and on.
func init() {
	pair("worker-head", parseStream, func() { streamed <- 0 })
	pair("worker-rows", flushRows, func() { flushed <- 0 })
	pair("worker-seen", countSeen, func() { counted <- 0 })
	pair("changes-sent", sendChanges, nil)
	pair("worker-queue", uploadParts, func() { uploaded <- 0 })

	healthy("worker-parts", countParts)
	healthy("worker-sends", sendRows)
	healthy("changes-again", drainChanges)
	healthy("weak-mailboxes", openMailboxes)
	healthy("relay", startRelay)
}

// Each runs its worker until it waits for the next command; `0` is the remedy.

// The first line of what was read is all that is used from then on.

var streamed = make(chan int)

func parseStream(cured bool) {
	spawn(func() {
		head := body(8 * mib)[:<-streamed]
		if cured {
			head = append([]byte(nil), head...)
		}
		for n := range streamed {
			if n == 0 {
				head = append([]byte(nil), head...)
			}
			for i := range head {
				head[i]++
			}
		}
	})
	streamed <- 100
	streamed <- 1
}

// Rows that were written out are still there beyond the length.

var flushed = make(chan int)

func flushRows(cured bool) {
	spawn(func() {
		var rows [][]byte
		for n := range flushed {
			if n == 0 {
				rows = append([][]byte(nil), rows...)
			}
			for i := 0; i < n; i++ {
				rows = append(rows, body(16<<10))
			}
			if len(rows) > 10 {
				rows = rows[:10]
				if cured {
					rows = append([][]byte(nil), rows...)
				}
			}
		}
	})
	flushed <- 500
	flushed <- 1
}

// A queue that is popped by slicing, of which a goroutine has the only pointer while it waits for several things.

type partQueue struct {
	name  string
	parts [][]byte
}

//go:noinline
func newPartQueue(name string) *partQueue { return &partQueue{name: name} }

var (
	partsIn      = make(chan []byte)
	uploaded     = make(chan int)
	pendingParts = make(chan int)
)

func uploadParts(cured bool) {
	spawn(func() {
		q := newPartQueue("parts")
		for {
			select {
			case part := <-partsIn:
				q.parts = append(q.parts, part)
			case n := <-uploaded:
				q.parts = q.parts[n:]
				if n == 0 || cured {
					q.parts = append([][]byte(nil), q.parts...)
				}
			case pendingParts <- len(q.parts):
			}
		}
	})
	for i := 0; i < 144; i++ {
		partsIn <- body(64 << 10)
	}
	uploaded <- 128
	partsIn <- body(64 << 10)
}

// A set that was big once.

var counted = make(chan int)

func countSeen(cured bool) {
	spawn(func() {
		seen := map[uint64]uint64{}
		for n := range counted {
			for i := 0; i < n; i++ {
				seen[uint64(i)]++
			}
			for key := range seen {
				if len(seen) > 100 {
					delete(seen, key)
				}
			}
			if n == 0 || cured {
				few := map[uint64]uint64{}
				for key, count := range seen {
					few[key] = count
				}
				seen = few
			}
		}
	})
	counted <- 200000
	counted <- 1
}

// The one who sets the channel up goes on with something else, and nobody receives.

var changes chan []byte

func sendChanges(cured bool) {
	next := make(chan bool)
	go func() {
		changes = make(chan []byte, 200)
		for i := 0; i < 100; i++ {
			changes <- body(64 << 10)
		}
		if cured {
			spawn(func() {
				for {
					time.Sleep(time.Hour)
					<-changes
				}
			})
		}
		for range next {
		}
	}()
	next <- true
}

// ---- healthy

// Two views of one array: between them they see all of it.

var parted = make(chan int)

func countParts() {
	spawn(func() {
		all := body(8 * mib)
		head, rest := all[:<-parted], all[100:]
		for n := range parted {
			head[0] += byte(n)
			rest[len(rest)-1] += head[0]
		}
	})
	parted <- 100
	parted <- 1
}

// A loop on its way through rows: it forgets them all when it has sent the last one.

var outgoing = make(chan int)

type outgoingRow struct{ text []byte }

func sendRows() {
	spawn(func() {
		var rows []*outgoingRow
		for i := 0; i < 500; i++ {
			rows = append(rows, &outgoingRow{body(16 << 10)})
		}
		for len(rows) > 0 {
			row := rows[0]
			rows = rows[1:]
			outgoing <- len(row.text)
		}
	})
	for i := 0; i < 450; i++ {
		<-outgoing
	}
}

// One who looks in from time to time; what he does so with lies behind him when he waits.

var backlog = make(chan []byte, 200)

//go:noinline
func drainSome(next chan bool) {
	select {
	case b := <-backlog:
		backlog <- b
	default:
	}
	<-next
}

func drainChanges() {
	for i := 0; i < 100; i++ {
		backlog <- body(64 << 10)
	}
	next := make(chan bool)
	go func() {
		for {
			drainSome(next)
		}
	}()
	next <- true
}

// Only their owners keep the mailboxes; who writes to one finds it by a weak pointer.

type mailbox struct {
	letters chan []byte
	read    [32 << 10]byte
}

var addresses = map[int]func() *mailbox{}

func openMailboxes() {
	for i := 0; i < 100; i++ {
		m := &mailbox{letters: make(chan []byte)}
		addresses[i] = weakly(m)
		spawn(func() {
			for letter := range m.letters {
				copy(m.read[:], letter)
			}
		})
	}
}

// What the variable points to lies in the program's data, and so does the channel's place; the goroutine has a pointer
// there.

type relay struct {
	name  string
	sent  [4]int
	queue chan []byte
}

var relayed = &relay{name: "first", queue: make(chan []byte, 200)}

//go:noinline
func (r *relay) run() {
	for {
		time.Sleep(time.Hour)
		<-r.queue
	}
}

func startRelay() {
	go relayed.run()
	for i := 0; i < 100; i++ {
		relayed.queue <- body(64 << 10)
	}
}
