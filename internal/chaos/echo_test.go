//go:build chaos

package chaos

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// echoEnv makes a process of this test's binary an echo: it has the echo's address and, behind a comma, that of the next one.
const echoEnv = "LICTOR_ECHO"

func TestMain(m *testing.M) {
	if where := os.Getenv(echoEnv); where != "" {
		address, next, _ := strings.Cut(where, ",")
		panic(runEcho(address, next))
	}
	os.Exit(m.Run())
}

// An echo is a process of its own that does nothing but answer messages of TCP, itself or by the next echo's answer, and requests of
// HTTP in the same two ways. What is measured at it is what the kernel, Go and a process that has slept cost.
type echo struct{ next string }

// Messages are about as long as a forwarded read of one key and its answer are.
const (
	echoAsked    = 256
	echoAnswered = 384
)

// Ports of an echo.
const (
	echoPort     = 7
	echoHTTPPort = 80
)

func portOf(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

// runEcho runs an echo until it fails.
func runEcho(address, next string) error {
	l, err := net.Listen("tcp", portOf(address, echoPort))
	if err != nil {
		return err
	}
	e := &echo{next}
	failed := make(chan error, 2)
	go func() { failed <- http.ListenAndServe(portOf(address, echoHTTPPort), e.handler()) }()
	go func() { failed <- e.serve(l) }()
	return <-failed
}

func (e *echo) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { _ = e.converse(c) }() // ends with the connection
	}
}

// converse answers messages until the connection ends.
func (e *echo) converse(c net.Conn) error {
	defer c.Close()
	next, err := e.dial()
	if err != nil {
		return err
	}
	defer next.Close()
	asked, answer := make([]byte, echoAsked), make([]byte, echoAnswered)
	for {
		if _, err := io.ReadFull(c, asked); err != nil {
			return err
		}
		if err := next.exchange(asked, answer); err != nil {
			return err
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

// handler answers a request itself if its path is /near, or else by the next echo's answer.
func (e *echo) handler() http.Handler {
	var mu sync.Mutex // guards next
	var next *talk
	ask := func() error {
		mu.Lock()
		defer mu.Unlock()
		if next == nil {
			var err error
			if next, err = e.dial(); err != nil {
				return err
			}
		}
		return next.exchange(make([]byte, echoAsked), make([]byte, echoAnswered))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/near" {
			if err := ask(); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, "[%q]", strings.Repeat("v", 100))
	})
}

// dial connects to the next echo. Where there is none, messages are answered by what is in the answer.
func (e *echo) dial() (*talk, error) {
	if e.next == "" {
		return &talk{}, nil
	}
	c, err := net.Dial("tcp", portOf(e.next, echoPort))
	return &talk{c}, err
}

// A talk is a connection to an echo.
type talk struct{ conn net.Conn }

func (t *talk) exchange(asked, answer []byte) error {
	if t.conn == nil {
		return nil
	}
	if _, err := t.conn.Write(asked); err != nil {
		return err
	}
	_, err := io.ReadFull(t.conn, answer)
	return err
}

// ask sends a message and blocks for its answer.
func (t *talk) ask() error { return t.exchange(make([]byte, echoAsked), make([]byte, echoAnswered)) }

func (t *talk) Close() error {
	if t.conn == nil {
		return nil
	}
	return t.conn.Close()
}

// echo starts an echo at a host.
func (h *host) echo(t *testing.T, next string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", h.namespace, program)
	cmd.Env = append(os.Environ(), echoEnv+"="+h.address+","+next)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// talkTo connects from a namespace to the echo at a host, as soon as that listens.
func talkTo(t *testing.T, from *os.File, h *host) *talk {
	t.Helper()
	address := portOf(h.address, echoPort)
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var conn net.Conn
		err := within(from, func() (err error) {
			conn, err = net.DialTimeout("tcp", address, 10*time.Second)
			return err
		})
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return &talk{conn}
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal(err)
		}
	}
}
