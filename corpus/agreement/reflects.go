package main

import "reflect"

type reflected struct {
	name string
	next *reflected
}

func (r *reflected) Wait(p *int, s string, w wide) (int, *wide) {
	held := pointer(1)
	block()
	*held++
	sink(s)
	return *p, &w
}

func (r reflected) WaitByValue(xs ...any) error {
	block()
	sink(xs)
	sink(r)
	return nil
}

func reflectTarget(p *int, s []string, m map[string]*int, f func() *int, i any) *wide {
	block()
	*p += len(s) + len(m) + *f()
	sink(i)
	return new(wide)
}

var (
	structs   []reflect.Value
	types     []reflect.Type
	made      []any
	functions []any
)

func init() {
	register("reflect", func() {
		wait := reflect.ValueOf(reflectTarget)
		for i := 0; i < 10; i++ {
			i := i
			p := pointer(i)
			arguments := []reflect.Value{
				reflect.ValueOf(p), reflect.ValueOf([]string{text(i)}),
				reflect.ValueOf(map[string]*int{text(i): p}),
				reflect.ValueOf(func() *int { return p }), reflect.ValueOf(newResource(i)),
			}
			spawn(func() { wait.Call(arguments) })
			r := &reflected{name: text(i)}
			method := reflect.ValueOf(r).MethodByName("Wait")
			spawn(func() { method.Call([]reflect.Value{arguments[0], reflect.ValueOf(text(i)), reflect.ValueOf(wide{})}) })
			// A method value made by reflection goes through methodValueCall, a function through makeFuncStub.
			value := method.Interface().(func(*int, string, wide) (int, *wide))
			functions = append(functions, value)
			spawn(func() { value(pointer(i), text(i), wide{1}) })
			variadic := reflect.ValueOf(*r).Method(0).Interface().(func(...any) error)
			spawn(func() { variadic(p, text(i), 3) })
			swap := reflect.MakeFunc(reflect.TypeOf(reflectTarget), func(in []reflect.Value) []reflect.Value {
				held := wideAt(i)
				block()
				held[0]++
				return []reflect.Value{in[0]}
			}).Interface().(func(*int, []string, map[string]*int, func() *int, any) *wide)
			functions = append(functions, swap)
			spawn(func() { swap(pointer(i), []string{text(i)}, nil, nil, newResource(i)) })
			spawn(func() { reflectSelect(i) })
		}
		fields := []reflect.StructField{
			{Name: "A", Type: reflect.TypeOf(0)},
			{Name: "B", Type: reflect.TypeOf((*int)(nil))},
			{Name: "C", Type: reflect.ArrayOf(3, reflect.TypeOf(""))},
			{Name: "D", Type: reflect.ArrayOf(300, reflect.TypeOf(new(int)))},
			{Name: "E", Type: reflect.TypeOf(wide{})},
		}
		for n := 1; n <= len(fields); n++ {
			t := reflect.StructOf(fields[:n])
			types = append(types, t, reflect.FuncOf([]reflect.Type{t}, nil, false),
				reflect.MapOf(reflect.TypeOf(""), t), reflect.ArrayOf(1000, t), reflect.SliceOf(t),
				reflect.ChanOf(reflect.BothDir, reflect.PtrTo(t)))
			v := reflect.New(t)
			if n > 1 {
				v.Elem().Field(1).Set(reflect.ValueOf(pointer(n)))
			}
			if n > 2 {
				v.Elem().Field(2).Index(1).SetString(text(n))
			}
			if n > 3 {
				v.Elem().Field(3).Index(299).Set(reflect.ValueOf(pointer(n)))
			}
			structs = append(structs, v)
			m := reflect.MakeMap(reflect.MapOf(reflect.TypeOf(""), t))
			for i := 0; i < 30; i++ {
				m.SetMapIndex(reflect.ValueOf(text(i)), v.Elem())
			}
			big := reflect.New(reflect.ArrayOf(1000, t))
			big.Elem().Index(999).Set(v.Elem())
			slice := reflect.Append(reflect.MakeSlice(reflect.SliceOf(t), 3, 50), v.Elem())
			channel := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, t), 1)
			if t.Size() < 1<<16 {
				channel.Send(v.Elem())
			}
			made = append(made, m.Interface(), big.Interface(), slice.Interface(), channel.Interface(),
				reflect.Zero(t).Interface())
		}
		pointerKey := reflect.MakeMap(reflect.MapOf(reflect.PtrTo(types[0]), reflect.TypeOf(&reflected{})))
		for i := 0; i < 40; i++ {
			pointerKey.SetMapIndex(reflect.New(types[0]), reflect.ValueOf(&reflected{name: text(i)}))
		}
		made = append(made, pointerKey.Interface())
	})
}

func reflectSelect(i int) {
	value := reflect.ValueOf(wideAt(i))
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectSend, Chan: reflect.ValueOf(make(chan *wide)), Send: value},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(make(chan string))},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(never)},
	}
	reflect.Select(cases)
	sink(value)
}
