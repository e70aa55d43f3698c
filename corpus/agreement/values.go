package main

import (
	"errors"
	"fmt"
	"strings"
)

type shape interface{ area() float64 }

type square float64
type circleShape struct{ radius float64 }
type polygon struct {
	points []struct{ x, y float64 }
	name   string
}
type emptyShape struct{}

func (s square) area() float64       { return float64(s * s) }
func (c *circleShape) area() float64 { return c.radius }
func (p polygon) area() float64      { return float64(len(p.points)) }
func (emptyShape) area() float64     { return 0 }

type embedding struct {
	polygon
	*circleShape
	shape
}

var (
	shapes    []shape
	anything  []any
	errs      []error
	pinnedSub []string
	pinned    [][]byte
	tiny8     []*int8
	tiny32    []*int32
	tinyText  []string
	inner     []*int
	emptied   [][]byte
	arrays    []*[10]struct {
		p *int
		s string
		n int32
	}
	slicesOf  [][]pair
	functionP *func()
	zeroes    []*struct{}
	composed  []*embedding
	builder   strings.Builder
)

func init() {
	register("values", func() {
		for i := 0; i < 500; i++ {
			shapes = append(shapes, square(i), &circleShape{1}, polygon{name: text(i)}, emptyShape{})
			anything = append(anything, i, text(i), int8(i), nil, pointer(i), []int{i}, [1]*int{pointer(i)},
				struct{ p *int }{pointer(i)}, func() int { return i }, true, 1.5*float64(i), complex(1, 2))
			errs = append(errs, errors.New(text(i)), fmt.Errorf("%d: %w", i, errors.New("inner")))
			long := strings.Repeat(text(i), 50)
			pinnedSub = append(pinnedSub, long[10:15])
			body := make([]byte, 5000)
			pinned = append(pinned, body[100:110:120])
			emptied = append(emptied, body[:0], body[len(body):])
			a, b, c := new(int8), new(int32), new(int16)
			*c++
			tiny8, tiny32 = append(tiny8, a), append(tiny32, b)
			tinyText = append(tinyText, string(rune('a'+i%26))+"x")
			r := newResource(i)
			inner = append(inner, &r.id, &new([50]int)[i%50])
			array := new([10]struct {
				p *int
				s string
				n int32
			})
			array[i%10].p, array[9].s = pointer(i), text(i)
			arrays = append(arrays, array)
			slicesOf = append(slicesOf, make([]pair, i%20, i%20+5))
			if n := len(slicesOf[i]); n > 0 {
				slicesOf[i][n-1].a = text(i)
			}
			zeroes = append(zeroes, new(struct{}))
			composed = append(composed, &embedding{polygon{name: text(i)}, new(circleShape), shapes[i]})
			builder.WriteString(text(i))
		}
		f := func() { sink(shapes) }
		functionP = &f
	})
}
