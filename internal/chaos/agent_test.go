//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// lictor is what is tested: $LICTOR or bin/lictor.
func lictor() string {
	if path := os.Getenv("LICTOR"); path != "" {
		return path
	}
	return filepath.Join("..", "..", "bin", "lictor")
}

// An agent is the binary on one host, with a data directory that outlives its processes.
type agent struct {
	*host
	port      int // of HTTP
	file, log string
	clock     *clock // nil is the machine's

	mu     sync.Mutex // guards what follows
	cmd    *exec.Cmd
	count  int           // of processes so far
	exited chan struct{} // of the last one
	killed bool          // the last one was, by us
	lost   []string      // processes that have ended by themselves
}

// newAgent writes the configuration of an agent. Small files and frequent snapshots bring all that happens to a log into
// a short run.
func newAgent(t *testing.T, h *host, dir string, more map[string]any) *agent {
	t.Helper()
	conf := map[string]any{
		"node_name": h.name, "data_dir": filepath.Join(dir, h.name), "bind_addr": h.address, "client_addr": "0.0.0.0",
		"log_level": "DEBUG", "retry_interval": "500ms",
		"performance":   map[string]any{"raft_multiplier": 1, "rpc_hold_timeout": "2s"},
		"raft_logstore": map[string]any{"wal": map[string]any{"segment_size_mb": 1}}, "raft_snapshot_threshold": 1500,
		"raft_snapshot_interval": "1s", "raft_trailing_logs": 500,
		"ports": map[string]any{"dns": -1, "serf_wan": -1, "grpc": -1, "grpc_tls": -1},
	}
	for k, v := range more {
		conf[k] = v
	}
	text, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{host: h, port: 8500, file: filepath.Join(dir, h.name+".json"), log: filepath.Join(dir, h.name+".log")}
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) url() string { return fmt.Sprintf("http://%s:%d", a.address, a.port) }

// start starts a process.
func (a *agent) start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	program, environment := lictor(), os.Environ()
	if a.clock != nil {
		program, environment = a.clock.program, append(environment, a.clock.env())
	}
	cmd := exec.Command("ip", "netns", "exec", a.namespace, program, "agent", "-config-file="+a.file)
	cmd.Env = environment
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	a.cmd, a.exited, a.killed = cmd, exited, false
	a.count++
	go func(process int) { // ends with the process
		err := cmd.Wait()
		a.mu.Lock()
		if !a.killed {
			a.lost = append(a.lost, fmt.Sprintf("process %d of %s has ended: %v", process, a.name, err))
		}
		a.mu.Unlock()
		close(exited)
	}(a.count)
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

// signal sends a signal, such as SIGSTOP, to a process that runs.
func (a *agent) signal(s syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.Process.Signal(s)
}

func (a *agent) pid() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.Process.Pid
}

// process counts the processes of the agent so far.
func (a *agent) process() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

// ended lists the processes that have ended by themselves.
func (a *agent) ended() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}
