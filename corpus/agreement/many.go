package main

type session struct {
	id     int
	buffer [100]byte
	next   *session
}

func init() {
	register("many", func() {
		work := make(chan *session)
		for i := 0; i < 10000; i++ {
			i := i
			switch i % 4 {
			case 0:
				spawn(func() { serve(&session{id: i}) })
			case 1:
				spawn(func() { serveLocal(i, work) })
			case 2:
				spawn(func() { recursion(i%5, nil) })
			case 3:
				held := &session{id: i, next: &session{id: -i}}
				spawn(func() { <-work; held.id++ })
			}
		}
		// Some come and go: their descriptors stay for reuse.
		done := make(chan bool)
		for i := 0; i < 500; i++ {
			go func() { done <- true }()
		}
		for i := 0; i < 500; i++ {
			<-done
		}
	})
}

func serve(s *session) {
	reply := make([]byte, s.id%300)
	block()
	s.buffer[0] = byte(len(reply))
}

func serveLocal(i int, work chan *session) {
	local := session{id: i, next: &session{id: i}}
	p := &local
	select {
	case s := <-work:
		p.next = s
	case <-never:
	}
	sink(p.next)
}
