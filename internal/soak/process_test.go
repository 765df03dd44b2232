//go:build soak

package soak

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// lictor is what is tested: $LICTOR or bin/lictor.
func lictor() string { return cmp.Or(os.Getenv("LICTOR"), filepath.Join("..", "..", "bin", "lictor")) }

// An agent is the binary with a data directory that outlives its processes.
type agent struct {
	name, file, log string
	http, serf      int // ports
	server          bool
	client          *api.Client

	mu      sync.Mutex // guards what follows
	cmd     *exec.Cmd
	started time.Time
	exited  chan struct{} // of the last process
	killed  bool          // the last process was, by us
	cpu     float64       // seconds of the processes before
	used    float64       // at the last sample
}

// ports finds free ones below those that the kernel gives to connections, so that a restart finds them free again.
func ports(t *testing.T, n int) (free []int) {
	t.Helper()
	for port := 20000 + rand.IntN(8000); len(free) < n && port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		free = append(free, port)
	}
	if len(free) < n {
		t.Fatal("too few ports are free")
	}
	return free
}

// newAgents lays out three servers and a client agent, which comes last.
func newAgents(t *testing.T, dir string) (all []*agent) {
	t.Helper()
	free := ports(t, 12)
	var join []string
	for i := range 3 {
		join = append(join, fmt.Sprintf("127.0.0.1:%d", free[3*i+1]))
	}
	for i, name := range []string{"s1", "s2", "s3", "c1"} {
		a := &agent{name: name, http: free[3*i], serf: free[3*i+1], server: i < 3,
			file: filepath.Join(dir, name+".json"), log: filepath.Join(dir, name+".log")}
		conf := map[string]any{
			"node_name": name, "data_dir": filepath.Join(dir, name), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
			"retry_join": join, "retry_interval": "500ms", "log_level": cmp.Or(os.Getenv("SOAK_LOG"), "INFO"),
			"performance": map[string]any{"raft_multiplier": 1}, "limits": map[string]any{"http_max_conns_per_client": 2000},
			"ports": map[string]any{"http": a.http, "serf_lan": a.serf, "server": free[3*i+2], "dns": -1, "serf_wan": -1,
				"grpc": -1, "grpc_tls": -1},
		}
		if a.server {
			conf["server"], conf["bootstrap_expect"] = true, 3
		}
		text, err := json.MarshalIndent(conf, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a.file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		a.client, err = api.NewClient(&api.Config{Address: fmt.Sprintf("127.0.0.1:%d", a.http), HttpClient: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute}}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// start starts a process.
func (a *agent) start() error {
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(lictor(), "agent", "-config-file="+a.file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	exited := make(chan struct{})
	a.cmd, a.started, a.exited, a.killed = cmd, time.Now(), exited, false
	go func() { // ends with the process
		_ = cmd.Wait()
		a.mu.Lock()
		a.cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		a.mu.Unlock()
		close(exited)
	}()
	return nil
}

// kill ends the process with SIGKILL, and returns when it has ended. It does nothing if there is none.
func (a *agent) kill() {
	a.mu.Lock()
	cmd, exited := a.cmd, a.exited
	a.killed = true
	a.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		<-exited
	}
}

// lost tells whether the process has ended by itself.
func (a *agent) lost() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.exited:
		return !a.killed
	default:
		return false
	}
}

// leads tells whether an agent is the leader.
func (a *agent) leads() bool { return a.server && a.stat("consul", "leader") == "true" }

// term is the newest term that a server knows of; 0 if it does not answer.
func (a *agent) term() uint64 {
	term, _ := strconv.ParseUint(a.stat("raft", "term"), 10, 64)
	return term
}

// stat is a figure that an agent tells of itself.
func (a *agent) stat(group, name string) string {
	self, err := a.client.Agent().Self()
	if err != nil {
		return ""
	}
	all, _ := self["Stats"][group].(map[string]any)
	text, _ := all[name].(string)
	return text
}

// usage measures what the process takes. Part is the part of a core that it used since the last time.
func (a *agent) usage(since time.Duration) (values map[string]float64, part float64, age time.Duration) {
	a.mu.Lock()
	pid, before, started := a.cmd.Process.Pid, a.cpu, a.started
	a.mu.Unlock()
	values, age = map[string]float64{}, time.Since(started)
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if files, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
		values["files"] = float64(len(files))
	}
	if text, err := os.ReadFile(filepath.Join(proc, "status")); err == nil {
		for line := range strings.Lines(string(text)) {
			var kb float64
			if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
				values["MB"] = kb / 1024
			}
		}
	}
	if metrics, err := a.client.Agent().Metrics(); err == nil {
		for _, g := range metrics.Gauges {
			if strings.HasSuffix(g.Name, "runtime.num_goroutines") {
				values["goroutines"] = float64(g.Value)
			}
		}
	}
	used := before + ticks(proc)
	part = (used - a.used) / since.Seconds()
	a.used = used
	return values, part, age
}

// ticks is the time of the processor that a process has used, in seconds.
func ticks(proc string) float64 {
	text, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
