package agent

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"lictor/config"
)

func freePorts(t *testing.T, n int) []int {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

func startConfig(t *testing.T, more string) (Config, []int) {
	p := freePorts(t, 5)
	dir, err := os.MkdirTemp("", "review")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := fmt.Sprintf(`node_name = "n1"
server = true
bootstrap = true
bind_addr = "127.0.0.1"
data_dir = %q
ports { server = %d  serf_lan = %d  serf_wan = %d  http = %d  dns = %d grpc = -1 grpc_tls = -1 }
%s
`, dir, p[0], p[1], p[2], p[3], p[4], more)
	return Config{Output: io.Discard, Build: Build{Version: "1.21.4"}, Load: func() (*config.Loaded, error) {
		return config.Load(config.Options{Fragments: []string{text}})
	}}, p
}

// Run with -race: the leader's duties begin while the agent still starts.
func TestStartStop(t *testing.T) {
	c, _ := startConfig(t, "")
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	for !a.server.node.Leads() {
		time.Sleep(10 * time.Millisecond)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
}

// A start that fails leaves no listener behind.
func TestFailedStartLeavesNoListener(t *testing.T) {
	c, p := startConfig(t, `addresses { http = "127.0.0.1 127.0.0.2" }`)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", p[3]))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Start() == nil {
		t.Fatal("started")
	}
	for _, port := range p {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}

func TestFailedWAN(t *testing.T) {
	c, p := startConfig(t, "")
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Start() == nil {
		t.Fatal("started")
	}
}
