package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"lictor/catalog"
	"lictor/rpc"
	"lictor/view"
)

// heap is what is in use after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// descriptors is how many files and sockets are open; 0 where that is not known.
func descriptors() int {
	open, _ := os.ReadDir("/dev/fd")
	return len(open)
}

// flat notes what is in use. The function that it returns fails the test unless that is so again.
func (s *subject) flat() func() {
	goroutines, files, before := runtime.NumGoroutine(), descriptors(), heap()
	return func() {
		s.t.Helper()
		s.eventually("the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+20 })
		s.eventually("the connections are closed", func() bool { return descriptors() <= files+10 })
		if after := heap(); after > before+16<<20 {
			s.t.Errorf("the heap was %d MiB and is %d MiB", before>>20, after>>20)
		}
	}
}

// asks makes requests over HTTPS and calls to port 8300 on connections of their own, from the address that besieges.
func (s *subject) asks(v *vault, https string) {
	s.t.Helper()
	s.serves()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: v.client("cli"), DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get("https://" + https + "/v1/kv/well?raw")
	if err != nil {
		s.t.Fatalf("HTTPS: %v", err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "yes" {
		s.t.Fatalf("HTTPS: %q, %v", text, err)
	}
	if err := s.calls(v); err != nil {
		s.t.Fatalf("port 8300: %v", err)
	}
}

// calls makes one call over a new connection to port 8300.
func (s *subject) calls(v *vault) error {
	c := v.client("client")
	pool := rpc.NewPool(rpc.PoolConfig{Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.Address)
		if err != nil {
			return nil, err
		}
		return rpc.Encrypt(ctx, conn, c, false)
	}})
	defer pool.Stop()
	_, err := pool.Call(within(s.t), rpc.Target{Address: s.rpcAddr()}, rpc.Header{}, "Status.Leader", []byte{0x80})
	return err
}

// Those who connect and say nothing, or only a little, are cut off in time; others are served meanwhile, also from the same
// address.
func TestSilence(t *testing.T) {
	noLeaks(t)
	v := newVault(t)
	s, https := startSecure(t, v, `limits { https_handshake_timeout = "2s" rpc_handshake_timeout = "2s" }`)
	s.asks(v, https)
	flat := s.flat()
	var held []net.Conn
	begin := func(address string, n int, words string) {
		for range n {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, words)
			held = append(held, conn)
		}
	}
	hello := "\x16\x03\x01\x02\x00\x01" // the beginning of a TLS handshake
	begin(https, 60, "")
	begin(https, 60, hello)
	for _, words := range []string{"", "\x01", "\x02\x05ab", "\x04", "\x04" + hello} {
		begin(s.rpcAddr(), 100, words)
	}
	s.asks(v, https)
	for _, conn := range held {
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
			t.Fatalf("a connection to %s is still open: %v", conn.RemoteAddr(), err)
		}
		conn.Close()
	}
	s.asks(v, https)
	flat()
}

// Nonsense instead of a handshake, and after it, changes nothing.
func TestMalformedTLS(t *testing.T) {
	noLeaks(t)
	v := newVault(t)
	s, https := startSecure(t, v)
	client := v.client("client")
	s.asks(v, https)
	flat := s.flat()
	for i := range 60 {
		noise := make([]byte, 1+i*30)
		rand.Read(noise)
		for address, first := range map[string]string{https: "", s.rpcAddr(): "\x04"} {
			for _, begin := range []string{first, first + "\x16\x03\x01\x00\x05", first + "\x16\x03\x03\x40\x00\x01\x00\x3f\xfc", first + "\x15\x03\x01\x00\x02"} {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				conn.Write(append([]byte(begin), noise...))
				conn.Close()
			}
		}
		conn := must(net.Dial("tcp", s.rpcAddr()))
		if secure, err := rpc.Encrypt(within(t), conn, client, false); err == nil {
			secure.Write(noise)
		}
		conn.Close()
		conn = must(net.Dial("tcp", https))
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: client.Certificates})
		if secure.Handshake() == nil {
			secure.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noise...))
		}
		conn.Close()
	}
	s.asks(v, https)
	flat()
}

// Bodies without end, and packets of each size, leave nothing behind, at whatever port.
func TestGiantBodies(t *testing.T) {
	v := newVault(t)
	s, https := startSecure(t, v)
	s.asks(v, https)
	flat := s.flat()
	ends := &s.cfg.Network.Endpoints
	part := make([]byte, 64<<10)
	rand.Read(part)
	user := append([]byte{8, 0x81, 0xaa}, "UserMsgLen\xd3\x3f\xff\xff\xff\xff\xff\xff\xff"...) // a message of gossip of 2^62 bytes
	for address, openings := range map[string][]string{
		s.HTTPAddrs()[0].String(): {"PUT /v1/kv/giant HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", "PUT /v1/txn HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", "GET /"},
		https:                     {"", "\x16\x03\x01\xff\xff\x01\xff\xff\xff"},
		s.rpcAddr():               {"\x01\x00\xff\xff\xff\x7f", "\x02\x00\xff\xff\xff\x7f", "\x04\x16\x03\x01\xff\xff\x01\xff\xff\xff"},
		s.DNSAddrs()[0].String():  {"\xff\xff\x01\x02\x01\x00\x00\x01"},
		ends.SerfBindLAN.String(): {string(user), "\x06\xdf\xff\xff\xff\xff", "\x09\x82"},
		ends.SerfBindWAN.String(): {string(user), "\x06\xdf\xff\xff\xff\xff", "\x09\x82"},
	} {
		for _, opening := range openings {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			_, err = io.WriteString(conn, opening)
			for range 1000 { // which are 64 MB
				if err == nil {
					_, err = conn.Write(part)
				}
			}
			conn.Close()
		}
		s.asks(v, https)
	}
	for _, address := range []string{s.DNSAddrs()[0].String(), ends.SerfBindLAN.String(), ends.SerfBindWAN.String()} {
		conn, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		for size := 1; size < 65_000; size += 97 {
			packet := make([]byte, size)
			rand.Read(packet)
			packet[0] %= 16 // so that it is a message of gossip
			conn.Write(packet)
		}
		conn.Close()
	}
	s.asks(v, https)
	flat()
}

// A flood of connections leaves neither memory nor goroutines behind.
func TestFlood(t *testing.T) {
	v := newVault(t)
	s, https := startSecure(t, v, `limits { https_handshake_timeout = "1s" rpc_handshake_timeout = "1s" }`)
	s.asks(v, https)
	flat := s.flat()
	ends := &s.cfg.Network.Endpoints
	for _, address := range []string{https, s.rpcAddr(), s.HTTPAddrs()[0].String(), s.DNSAddrs()[0].String(), ends.SerfBindLAN.String(), ends.SerfBindWAN.String()} {
		for range 10 {
			var conns []net.Conn
			for range 150 {
				if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
					conns = append(conns, conn)
				}
			}
			for _, conn := range conns {
				conn.Close()
			}
		}
		s.asks(v, https)
	}
	flat()
}

// Beyond the bound clients of HTTPS are told so, as those of HTTP are.
func TestTooManyConnectionsOfHTTPS(t *testing.T) {
	v := newVault(t)
	_, https := startSecure(t, v, `limits { http_max_conns_per_client = 5 }`)
	c := v.client("cli")
	for i := range 8 {
		conn, err := tls.Dial("tcp", https, c)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i < 5 {
			continue
		}
		conn.SetDeadline(time.Now().Add(patience))
		text, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(text), "HTTP/1.1 429 ") {
			t.Errorf("connection %d gets %q", i+1, text)
		}
	}
}

// Rates bound what other agents ask of a server, when they are enforced.
func TestRequestLimits(t *testing.T) {
	refusals := regexp.MustCompile(`rpc_rate_limit_exceeded\{[^}]*\} [1-9]`)
	for mode, refused := range map[string]bool{"disabled": false, "permissive": false, "enforcing": true} {
		s := start(t, t.TempDir(), fmt.Sprintf(`telemetry { prometheus_retention_time = "1h" } limits { request_limits { mode = %q read_rate = 2 write_rate = 1 } }`, mode))
		var reads, writes int
		for range 10 {
			q := must((&view.Ask{Query: catalog.NodesQuery.Name}).MarshalMsg(nil))
			if _, err := s.server.Answer(within(t), &rpc.Request{Method: fetchMethod, Args: q}); errors.Is(err, errPace) {
				reads++
			}
			if _, err := s.server.Answer(within(t), &rpc.Request{Method: "Catalog.Deregister", Args: []byte{0x80}}); errors.Is(err, errPace) {
				writes++
			}
		}
		if (reads > 0) != refused || (writes > 0) != refused {
			t.Errorf("%s: %d reads and %d writes of 10 are refused", mode, reads, writes)
		}
		// This form counts from the start. The other one tells of the last whole interval, which may have ended before.
		if told := refusals.MatchString(s.get("/v1/agent/metrics?format=prometheus")); told != (mode != "disabled") {
			t.Errorf("%s: the metric is there: %v", mode, told)
		}
	}
}
