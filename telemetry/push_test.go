package telemetry_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lictor/telemetry"
)

// receive reads until all wanted lines have come.
func receive(t *testing.T, next func() (string, error), want ...string) {
	t.Helper()
	want = slices.Clone(want)
	var got []string
	for len(want) > 0 {
		line, err := next()
		if err != nil {
			t.Fatalf("%v; still wanted %q, got %d lines", err, want, len(got))
		}
		got = append(got, line)
		want = slices.DeleteFunc(want, func(w string) bool { return w == line })
	}
}

// lines splits what arrives as datagrams.
func lines(conn net.PacketConn) func() (string, error) {
	var waiting []string
	return func() (string, error) {
		for len(waiting) == 0 {
			buf := make([]byte, 65536)
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return "", err
			}
			if n > 1400 {
				return "", errors.New("datagram too large")
			}
			waiting = strings.Split(string(buf[:n]), "\n")
		}
		first := waiting[0]
		waiting = waiting[1:]
		return first, nil
	}
}

func listenPacket(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func start(t *testing.T, change func(*telemetry.Config)) *telemetry.Registry {
	t.Helper()
	r := newRegistry(t, change)
	fill(r)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func fill(r *telemetry.Registry) {
	get := telemetry.Label{Name: "method", Value: "GET"}
	r.Counter("rpc.query", get).Add(3)
	r.Gauge("raft.peers").Set(5)
	r.Sample("api.http", get).Observe(1.5)
	for range 6 {
		r.Sample("fsm.kvs").Observe(4)
	}
	for i := range 100 {
		r.Counter("filler." + strings.Repeat("x", i)).Inc()
	}
}

func TestStatsd(t *testing.T) {
	conn := listenPacket(t, "udp", "127.0.0.1:0")
	start(t, func(c *telemetry.Config) { c.StatsdAddress = conn.LocalAddr().String() })
	receive(t, lines(conn), "consul.rpc.query.GET:3.000000|c", "consul.host1.raft.peers:5.000000|g",
		"consul.api.http.GET:1.500000|ms", "consul.fsm.kvs:4.000000|ms|@0.166666666",
		"consul.filler."+strings.Repeat("x", 99)+":1.000000|c")
}

func TestDogstatsd(t *testing.T) {
	want := []string{"consul.rpc.query:3.000000|c|#env:test,a:b,method:GET", "consul.raft.peers:5.000000|g|#env:test,a:b",
		"consul.fsm.kvs:4.000000|ms|@0.166666666|#env:test,a:b"}
	socket := filepath.Join(t.TempDir(), "dog.sock")
	for network, address := range map[string]string{"udp": "127.0.0.1:0", "unixgram": socket} {
		t.Run(network, func(t *testing.T) {
			conn := listenPacket(t, network, address)
			start(t, func(c *telemetry.Config) {
				c.DogstatsdAddr = conn.LocalAddr().String()
				if network == "unixgram" {
					c.DogstatsdAddr = "unix://" + socket
				}
				c.DogstatsdTags = []string{"env:test", "a:b"}
			})
			receive(t, lines(conn), want...)
		})
	}
}

func TestStatsite(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := start(t, func(c *telemetry.Config) { c.StatsiteAddress, c.DisableHostname = l.Addr().String(), true })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	next := func() (string, error) {
		line, err := in.ReadString('\n')
		return strings.TrimSuffix(line, "\n"), err
	}
	receive(t, next, "consul.raft.peers:5.000000|g", "consul.rpc.query.GET:3.000000|c", "consul.fsm.kvs:4.000000|ms",
		"consul.fsm.kvs:4.000000|ms", "consul.fsm.kvs:4.000000|ms", "consul.fsm.kvs:4.000000|ms")
	r.Counter("last.words").Inc()
	go r.Stop()
	rest, err := io.ReadAll(in)
	if err != nil || !strings.Contains(string(rest), "consul.last.words:1.000000|c\n") {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	r.Stop()
}

func TestCollectorThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, func(c *telemetry.Config) { c.StatsiteAddress, c.RetryFailedConnection = gone, false })
	if err := r.Start(); !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "connect to statsite: ") {
		t.Errorf("got %v", err)
	}
	r.Stop()
	start(t, func(c *telemetry.Config) { c.StatsiteAddress = gone }).Stop()
	missing := "unix://" + filepath.Join(t.TempDir(), "none")
	r = newRegistry(t, func(c *telemetry.Config) { c.DogstatsdAddr, c.RetryFailedConnection = missing, false })
	if err := r.Start(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
