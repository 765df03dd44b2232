//go:build crash

package crash

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server is the binary with a data directory that outlives its processes.
type server struct {
	name   string
	dir    string
	ports  []int
	debug  bool           // whether profiles can be asked for
	keys   string         // file of keys for what is on disk; "" encrypts nothing
	join   []string       // where the others are; none for a server that is alone
	secure map[string]any // settings of encryption on the wire
	client *http.Client
	cmd    *exec.Cmd
	log    *record // of the last process
	logged string  // by the processes before
	exited chan struct{}
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{
		name: "server", dir: t.TempDir(), ports: freePorts(t, 5),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
}

// freePorts finds ports that are free, below those that the kernel gives to outgoing connections: a server that is killed
// comes back to its own.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(22_000)))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close() // once all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// lictor is what is tested: $LICTOR or bin/lictor.
func lictor() string {
	if path := os.Getenv("LICTOR"); path != "" {
		return path
	}
	return filepath.Join("..", "..", "bin", "lictor")
}

// start starts a process. Small files and frequent snapshots bring all that happens to a log into a short run.
func (s *server) start(t *testing.T) {
	t.Helper()
	atRest := map[string]any{}
	if s.keys != "" {
		atRest["key_file"] = s.keys
	}
	settings := map[string]any{
		"encryption_at_rest": atRest, "node_name": s.name, "server": true, "bootstrap_expect": max(1, len(s.join)), "data_dir": filepath.Join(s.dir, "data"),
		"retry_join": s.join, "retry_interval": "300ms", "performance": map[string]any{"raft_multiplier": 1},
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": logLevel(),
		"raft_logstore": map[string]any{"wal": map[string]any{"segment_size_mb": 1}}, "raft_snapshot_threshold": 1500,
		"enable_debug": s.debug, "raft_snapshot_interval": "200ms", "raft_trailing_logs": 500,
		"ports": map[string]any{"http": s.ports[0], "dns": s.ports[1], "serf_lan": s.ports[2], "serf_wan": s.ports[3],
			"server": s.ports[4], "grpc": -1, "grpc_tls": -1},
	}
	maps.Copy(settings, s.secure)
	conf, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "server.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	s.logged = s.said()
	s.log, s.exited = new(record), make(chan struct{})
	s.cmd = exec.Command(lictor(), "agent", "-config-file="+file)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
}

// A record is what a process has written so far.
type record struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// said is all that the processes have logged.
func (s *server) said() string {
	if s.log == nil {
		return s.logged
	}
	return s.logged + s.log.String()
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.client.CloseIdleConnections()
}

// ready waits until a write is accepted and tells how long it took since begin; an error tells how the process ended.
func (s *server) ready(begin time.Time) (time.Duration, error) {
	for time.Since(begin) < 30*time.Second {
		if status, _, err := s.call("PUT", "/v1/kv/ready", "1"); err == nil && status == http.StatusOK {
			return time.Since(begin), nil
		}
		select {
		case <-s.exited:
			return 0, fmt.Errorf("the server has ended: %s", s.log)
		case <-time.After(2 * time.Millisecond):
		}
	}
	s.kill()
	return 0, fmt.Errorf("the server takes no write: %s", s.log)
}

func (s *server) call(method, path, body string) (int, []byte, error) {
	r, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", s.ports[0], path), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, b, err
}

// get reads JSON from a running server.
func (s *server) get(t *testing.T, path string, into any) {
	t.Helper()
	status, body, err := s.call("GET", path, "")
	if err != nil {
		t.Fatal(err)
	}
	if status == http.StatusNotFound {
		return
	}
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// logLevel is CRASH_LOG, or WARN.
func logLevel() string { return cmp.Or(os.Getenv("CRASH_LOG"), "WARN") }
