// Orders takes orders and leaks in three ways that services really leak:
//
//   - every order keeps a few bytes of its request's body, and with them all of the body (main.receive);
//   - a price that comes after the caller gave up blocks its goroutine for good (main.quote);
//   - finished orders stay in a global map, for nobody ever deletes them (main.cache).
//
// It prints one line when the leaks have some size, and goes on, slowly, until it is stopped.
package main

import (
	"fmt"
	"os"
	"time"
)

type item struct {
	article string
	price   int
}

type order struct {
	id       int
	customer string
	items    []item
	note     []byte // points into the body of the request
}

type session struct {
	customer string
	visited  []string
	started  time.Time
}

var (
	cache    = map[int]*order{}
	sessions = map[string]*session{}
	recent   [64]*order
)

const bodySize = 16 << 10

// receive stands for the reading of a request.
func receive(id int) []byte {
	body := make([]byte, bodySize)
	for n := copy(body, fmt.Sprintf("POST /orders/%d please ring twice ", id)); n < len(body); n *= 2 {
		copy(body[n:], body[:n])
	}
	return body
}

func parse(id int, body []byte) *order {
	o := &order{id: id, customer: fmt.Sprintf("customer-%d", id%1000), note: body[20:36]}
	for i := 0; i <= id%4; i++ {
		o.items = append(o.items, item{fmt.Sprintf("article-%d", id*7%500+i), 100 + id%900})
	}
	return o
}

func price(o *order) int {
	total := 0
	for _, i := range o.items {
		total += i.price
	}
	return total
}

// quote asks for a price and does not wait longer than a customer would.
func quote(o *order, patience time.Duration) (int, bool) {
	answer := make(chan int)
	go func() {
		if o.id%50 == 0 {
			time.Sleep(patience * 2) // the slow ones
		}
		answer <- price(o)
	}()
	select {
	case p := <-answer:
		return p, true
	case <-time.After(patience):
		return 0, false
	}
}

func visit(o *order) {
	s := sessions[o.customer]
	if s == nil {
		s = &session{customer: o.customer, started: time.Now()}
		sessions[o.customer] = s
	}
	s.visited = append(s.visited, o.items[0].article)
}

func take(id int) {
	o := parse(id, receive(id))
	cache[id] = o
	recent[id%len(recent)] = o
	visit(o)
	quote(o, time.Millisecond)
}

func main() {
	const warm = 8000
	for id := 0; ; id++ {
		take(id)
		if id == warm {
			fmt.Printf("ready pid=%d orders=%d\n", os.Getpid(), id)
		}
		if id > warm {
			time.Sleep(20 * time.Millisecond)
		}
	}
}
