// Heartbeat is a busy program that notices when it is disturbed: an HTTPS server under load from its own clients,
// with timers, pipes and child processes. Every error of any of them is reported; a goroutine measures how long the
// program as a whole stood still.
//
//	heartbeat MEGABYTES [calm]    calm: no server and no children, so that nothing but a capture makes a gap
//
// It prints "ready" and then answers each line of standard input:
//
//	reset   forgets the longest gap; prints "ok"
//	gap     prints the longest gap since then, in nanoseconds
//	errors  prints the number of errors, the number of requests, and the first error
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A heap like others: small objects that point to each other.
type node struct {
	next    *node
	payload [6]uint64
}

var (
	heap       []*node
	longestGap int64
	errorCount int64
	requests   int64
	firstError atomic.Value
)

func check(what string, err error) {
	if err != nil && atomic.AddInt64(&errorCount, 1) == 1 {
		firstError.Store(what + ": " + err.Error())
	}
}

func fill(megabytes int) {
	count := megabytes << 20 / 72 // a slot of 64 bytes and a pointer to it
	heap = make([]*node, count)
	var last *node
	for i := range heap {
		last = &node{next: last, payload: [6]uint64{uint64(i)}}
		heap[i] = last
	}
	runtime.GC()
}

// Some of the heap changes all the time.
func mutate() {
	for i := 0; ; i++ {
		if len(heap) > 0 {
			heap[i*7919%len(heap)].payload[1]++
		}
		if i%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// Sleeps in the kernel, not in the runtime, whose timers wait for whole milliseconds when nothing else runs: such a beat
// would take every pause for a millisecond longer than it is.
func beat() {
	interval := syscall.NsecToTimespec(int64(200 * time.Microsecond))
	for last := time.Now(); ; {
		syscall.Nanosleep(&interval, nil)
		now := time.Now()
		gap := int64(now.Sub(last))
		for {
			old := atomic.LoadInt64(&longestGap)
			if gap <= old || atomic.CompareAndSwapInt64(&longestGap, old, gap) {
				break
			}
		}
		last = now
	}
}

func certificate() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}

func serve(listener net.Listener) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check("server reading", err)
		_, err = w.Write(body)
		check("server writing", err)
	})
	check("server", http.Serve(listener, handler))
}

func request(client *http.Client, url string, body []byte) {
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		check("client", err)
		return
	}
	echo, err := io.ReadAll(response.Body)
	check("client reading", err)
	response.Body.Close()
	if !bytes.Equal(echo, body) {
		check("client", fmt.Errorf("%d bytes sent, others came back", len(body)))
	}
	atomic.AddInt64(&requests, 1)
}

func load(url string, pool *x509.CertPool, keepAlive bool) {
	client := &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			DisableKeepAlives: !keepAlive,
		},
	}
	for size := 1; ; size = size*7%65521 + 1 {
		request(client, url, make([]byte, size))
		time.Sleep(2 * time.Millisecond)
	}
}

// A child that copies its input to its output, through pipes.
func children() {
	for i := 0; ; i++ {
		text := strings.Repeat("heartbeat\n", i%100+1)
		command := exec.Command("cat")
		command.Stdin = strings.NewReader(text)
		output, err := command.Output()
		check("child", err)
		if string(output) != text {
			check("child", fmt.Errorf("%q came back", output))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func pipes() {
	reader, writer, err := os.Pipe()
	check("pipe", err)
	go func() {
		for i := byte(0); ; i++ {
			_, err := writer.Write([]byte{i})
			check("pipe writing", err)
			time.Sleep(time.Millisecond)
		}
	}()
	buffer := make([]byte, 1)
	for i := byte(0); ; i++ {
		_, err := io.ReadFull(reader, buffer)
		check("pipe reading", err)
		if buffer[0] != i {
			check("pipe", fmt.Errorf("%d came instead of %d", buffer[0], i))
		}
	}
}

func timers() {
	for {
		start := time.Now()
		fired := make(chan time.Time, 1)
		time.AfterFunc(3*time.Millisecond, func() { fired <- time.Now() })
		if early := 3*time.Millisecond - (<-fired).Sub(start); early > 0 {
			check("timer", fmt.Errorf("%v early", early))
		}
	}
}

func main() {
	megabytes, err := strconv.Atoi(os.Args[1])
	check("argument", err)
	fill(megabytes)
	go mutate()
	go beat()
	if len(os.Args) < 3 {
		disturb()
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "reset":
			atomic.StoreInt64(&longestGap, 0)
			fmt.Println("ok")
		case "gap":
			fmt.Println(atomic.LoadInt64(&longestGap))
		case "errors":
			first, _ := firstError.Load().(string)
			fmt.Println(atomic.LoadInt64(&errorCount), atomic.LoadInt64(&requests), first)
		}
	}
	runtime.KeepAlive(heap)
}

// Everything that a capture could break.
func disturb() {
	pair, pool, err := certificate()
	check("certificate", err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	check("listening", err)
	url := "https://" + listener.Addr().String() + "/"
	go serve(listener)
	for i := 0; i < 4; i++ {
		go load(url, pool, i%2 == 0)
	}
	go children()
	go pipes()
	go timers()
	for atomic.LoadInt64(&requests) < 20 && atomic.LoadInt64(&errorCount) == 0 {
		time.Sleep(time.Millisecond)
	}
}
