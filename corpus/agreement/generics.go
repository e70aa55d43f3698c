package main

type stack[T any] struct {
	items []T
	top   *element[T]
}

type element[T any] struct {
	value T
	below *element[T]
}

func (s *stack[T]) push(v T) {
	s.items = append(s.items, v)
	s.top = &element[T]{v, s.top}
}

func (s *stack[T]) each(f func(T)) func() {
	return func() {
		for _, v := range s.items {
			f(v)
		}
	}
}

type number interface{ ~int | ~float64 }

func sum[K comparable, V number](m map[K]V) func(K) V {
	var total V
	return func(k K) V {
		total += m[k]
		return total
	}
}

func waitGeneric[T any](v T, s *stack[T]) {
	held := &element[T]{value: v}
	block()
	s.push(held.value)
}

type both[A, B any] struct {
	a A
	b *B
}

var (
	intStack    stack[int]
	textStack   stack[string]
	wideStack   stack[wide]
	nestedStack stack[*stack[map[string]*int]]
	eachers     []func()
	sums        []any
	pairs       []both[string, both[*int, []byte]]
)

func init() {
	register("generics", func() {
		for i := 0; i < 200; i++ {
			intStack.push(i)
			textStack.push(text(i))
			wideStack.push(wide{byte(i)})
			inner := &stack[map[string]*int]{}
			inner.push(map[string]*int{text(i): pointer(i)})
			nestedStack.push(inner)
			eachers = append(eachers, inner.each(func(m map[string]*int) { sink(m) }), textStack.each(func(string) {}))
			sums = append(sums, sum(map[string]float64{text(i): 1}), sum(map[int]int{i: i}))
			pairs = append(pairs, both[string, both[*int, []byte]]{text(i), &both[*int, []byte]{pointer(i), new([]byte)}})
		}
		for i := 0; i < 5; i++ {
			i := i
			spawn(func() { waitGeneric(text(i), &textStack) })
			spawn(func() { waitGeneric(pointer(i), &stack[*int]{}) })
			spawn(func() { waitGeneric(wide{}, &wideStack) })
			spawn(func() { waitGeneric(pair{text(i), 1}, new(stack[pair])) })
		}
	})
}
