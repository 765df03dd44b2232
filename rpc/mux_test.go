package rpc_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"lictor/rpc"
)

// serveMux starts a Mux with one protocol, whose connections are answered with what they send.
func serveMux(t testing.TB, protocol byte) (address string, mux *rpc.Mux) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux = rpc.NewMux(l, "us", slog.New(slog.DiscardHandler), rpc.Limits{})
	known := mux.Protocol(protocol)
	ended := make(chan struct{})
	go func() { // ends when the Mux is closed
		defer close(ended)
		for {
			conn, err := known.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	mux.Serve()
	t.Cleanup(func() {
		if err := mux.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return l.Addr().String(), mux
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// closed checks that the other side hangs up.
func closed(t testing.TB, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection stays open: %d bytes, %v", n, err)
	}
}

func TestFirstByteChooses(t *testing.T) {
	const ours = 7
	address, _ := serveMux(t, ours)
	for first := range 256 {
		conn := dial(t, address)
		if err := rpc.Greet(conn, byte(first), ""); err != nil {
			t.Fatal(err)
		}
		if first != ours {
			closed(t, conn)
			continue
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 5)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "hello" {
			t.Errorf("%q, %v", answer, err)
		}
	}
}

func TestCloseHangsUp(t *testing.T) {
	address, mux := serveMux(t, 7)
	silent := dial(t, address)
	other := dial(t, address) // accepted after the silent one
	if err := rpc.Greet(other, 9, ""); err != nil {
		t.Fatal(err)
	}
	closed(t, other)
	if err := mux.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, silent)
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("still listens")
	}
	if _, err := mux.Protocol(8).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the end: %v", err)
	}
}

// Strangers who come, say something wrong and go leave nothing behind.
func TestStrangersLeaveNothing(t *testing.T) {
	address, _ := serveMux(t, 7)
	knock := func(n int) {
		for i := range n {
			conn := dial(t, address)
			if i%3 == 0 { // says nothing
				conn.Close()
				continue
			}
			if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
				continue // hung up meanwhile
			}
			closed(t, conn)
			conn.Close()
		}
	}
	knock(10)
	before := runtime.NumGoroutine()
	knock(300)
	end := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before+5 {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

func FuzzMux(f *testing.F) {
	const ours = 7
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{ours})
	f.Add([]byte{0x16, 3, 1, 0, 5})
	address, _ := serveMux(f, ours)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		conn := dial(t, address)
		_, _ = conn.Write(bytes)
		if len(bytes) == 0 || bytes[0] == ours {
			conn.Close()
			return
		}
		closed(t, conn)
		conn.Close()
	})
}
