//go:build siege

package siege

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lictor/certs"
)

// lictor is what is besieged: $LICTOR or bin/lictor.
func lictor() string { return cmp.Or(os.Getenv("LICTOR"), filepath.Join("..", "..", "bin", "lictor")) }

// An agent is a running process.
type agent struct {
	cmd   *exec.Cmd
	ports map[string]int
	log   string
}

// address is that of a port on loopback.
func (a *agent) address(port string) string { return fmt.Sprintf("127.0.0.1:%d", a.ports[port]) }

// freePorts finds ports that are free for TCP and UDP.
func freePorts(t *testing.T, names ...string) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, name := range names {
		for ports[name] == 0 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			if c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				defer c.Close()
				ports[name] = port
			}
		}
	}
	return ports
}

// start starts an agent with TLS for calls among agents, and waits until it answers requests.
func start(t *testing.T, name string, conf map[string]any) *agent {
	t.Helper()
	dir := t.TempDir()
	a := &agent{ports: freePorts(t, "http", "https", "dns", "serf_lan", "serf_wan", "server"), log: filepath.Join(dir, "log")}
	ports := map[string]any{"grpc": -1, "grpc_tls": -1}
	for name, port := range a.ports {
		ports[name] = port
	}
	for key, value := range map[string]any{
		"node_name": name, "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "ERR",
		"performance": map[string]any{"raft_multiplier": 1}, "ports": ports, "retry_interval": "300ms",
	} {
		conf[key] = value
	}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "agent.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(a.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.cmd = exec.Command(lictor(), "agent", "-config-file="+file)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); !a.holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			text, _ := os.ReadFile(a.log)
			t.Fatalf("%s takes no write: %s", name, text)
		}
	}
	return a
}

// holds writes what the users read.
func (a *agent) holds() bool {
	r, _ := http.NewRequest("PUT", "http://"+a.address("http")+"/v1/kv/well", strings.NewReader("yes"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// A use is what a process has in use.
type use struct {
	memory float64       // MiB
	files  int           // open
	cpu    time.Duration // since the start
}

func (a *agent) use() (u use) {
	proc := fmt.Sprintf("/proc/%d/", a.cmd.Process.Pid)
	status, _ := os.ReadFile(proc + "status")
	if _, rest, ok := strings.Cut(string(status), "VmRSS:"); ok {
		kib, _ := strconv.Atoi(strings.Fields(rest)[0])
		u.memory = float64(kib) / 1024
	}
	files, _ := os.ReadDir(proc + "fd")
	u.files = len(files)
	stat, _ := os.ReadFile(proc + "stat")
	if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 12 {
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		u.cpu = time.Duration(user+system) * 10 * time.Millisecond
	}
	return u
}

// secured makes certificates and gives the settings of a server and of a client agent that have them.
func secured(t *testing.T) (server, client map[string]any) {
	t.Helper()
	dir := t.TempDir()
	authority, err := certs.NewAuthority(certs.AuthorityOptions{Valid: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", authority.Cert)
	of := func(kind string) map[string]any {
		leaf := certs.AgentLeaf(kind, "dc1", "consul")
		leaf.Valid = time.Hour
		pair, err := certs.Issue(authority, leaf)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"tls": map[string]any{
			"defaults":     map[string]any{"ca_file": ca, "cert_file": write(kind+".pem", pair.Cert), "key_file": write(kind+"-key.pem", pair.Key)},
			"internal_rpc": map[string]any{"verify_incoming": true, "verify_outgoing": true, "verify_server_hostname": true},
		}}
	}
	return of("server"), of("client")
}
