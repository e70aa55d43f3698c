package main

import (
	"context"
	"time"
)

var (
	armed    []*time.Timer
	tickers  []*time.Ticker
	expiring context.Context
	fired    = make(chan bool, 10)
)

func init() {
	register("timers", func() {
		for i := 0; i < 200; i++ {
			data := make([]byte, 100)
			after := time.Duration(i+10) * time.Hour
			armed = append(armed, time.AfterFunc(after, func() { sink(data) }), time.NewTimer(after))
			tickers = append(tickers, time.NewTicker(after))
			time.AfterFunc(after, func() { sink(data[:5]) })
			time.NewTimer(after)
			time.NewTicker(after)
			time.AfterFunc(after, func() { sink(data[5:]) }).Stop()
			if i%2 == 0 {
				armed[i].Stop()
				tickers[i].Stop()
			}
			if i%5 == 0 {
				armed[i].Reset(after * 2)
			}
		}
		for i := 0; i < 5; i++ {
			time.AfterFunc(time.Microsecond, func() { fired <- true })
		}
		for i := 0; i < 5; i++ {
			<-fired
		}
		ended := time.NewTimer(time.Microsecond)
		armed = append(armed, ended)
		var cancel func()
		expiring, cancel = context.WithTimeout(context.Background(), 20*time.Hour)
		sink(cancel)
		for i := 0; i < 20; i++ {
			i := i
			spawn(func() { held := pointer(i); time.Sleep(30 * time.Hour); *held++ })
			spawn(func() { held := pointer(i); <-time.After(30 * time.Hour); *held++ })
			spawn(func() {
				ticker := time.NewTicker(40 * time.Hour)
				defer ticker.Stop()
				for held := wideAt(i); ; held[0]++ {
					select {
					case <-ticker.C:
					case <-never:
						return
					}
				}
			})
			spawn(func() {
				timer := time.NewTimer(40 * time.Hour)
				<-timer.C
			})
		}
	})
}
