package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

func TestServesWhatIsRegistered(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	s.put("/v1/kv/a", "1")
	if got := s.get("/v1/kv/a?raw"); got != "1" {
		t.Errorf("the key holds %q", got)
	}
	s.put("/v1/agent/service/register", `{"Name": "web", "Port": 80, "Address": "10.0.0.7"}`)
	s.eventually("web is found by DNS", func() bool { return len(s.dig("web.service.consul.", dns.TypeA).Answer) == 1 })
	if got := s.dig("web.service.consul.", dns.TypeSRV).Answer[0].(*dns.SRV).Port; got != 80 {
		t.Errorf("SRV says port %d", got)
	}
	if got := s.dig("consul.service.consul.", dns.TypeA).Answer; len(got) != 1 {
		t.Errorf("consul.service.consul is %v", got)
	}
}

func TestStopTwice(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStopWithoutStart(t *testing.T) {
	noLeaks(t)
	s, err := newSubject(t, basis(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// Blocking reads, streams and connections that say nothing must not hold up the end.
func TestStopEndsWhatIsOpen(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	ended := make(chan struct{}, 3)
	for _, path := range []string{"/v1/kv/a?index=1000000&wait=5m", "/v1/agent/monitor", "/v1/agent/metrics/stream"} {
		go func() {
			if r, err := s.http.Get(s.url(path)); err == nil {
				buffer := make([]byte, 1024)
				for err == nil {
					_, err = r.Body.Read(buffer)
				}
				r.Body.Close()
			}
			ended <- struct{}{}
		}()
	}
	idle, err := net.Dial("tcp", s.HTTPAddrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	s.eventually("all are connected", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return s.conns.count["127.0.0.1"] >= 4
	})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-ended
	}
}

func TestRestart(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	first := start(t, dir)
	first.put("/v1/kv/a", "1")
	first.put("/v1/agent/service/register", `{"Name": "web", "Check": {"TTL": "1h", "CheckID": "c1"}}`)
	first.put("/v1/agent/check/pass/c1?note=well", "")
	id := read(t, dir, "node-id")
	index := first.get("/v1/status/leader")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if id != first.id || index == "" {
		t.Errorf("the file holds the id %q, the agent has %q", id, first.id)
	}
	second := start(t, dir)
	if second.id != id {
		t.Errorf("the id was %s and is %s", id, second.id)
	}
	if got := second.get("/v1/kv/a?raw"); got != "1" {
		t.Errorf("the key holds %q", got)
	}
	if got := second.get("/v1/agent/services"); !strings.Contains(got, `"web"`) {
		t.Errorf("the agent has %s", got)
	}
	second.eventually("the check is passing in the catalog again", func() bool {
		return strings.Contains(second.get("/v1/health/service/web?passing"), `"Output":"well"`)
	})
	if got := second.get("/v1/catalog/nodes"); strings.Count(got, `"Node":`) != 1 {
		t.Errorf("the catalog has %s", got)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpPort, udpPort := taken.Addr().(*net.TCPAddr).Port, udp.LocalAddr().(*net.UDPAddr).Port
	for key, port := range map[string]int{
		"ports.http": tcpPort, "ports.dns": udpPort, "ports.serf_lan": tcpPort, "ports.serf_wan": tcpPort, "ports.server": tcpPort,
	} {
		t.Run(key, func(t *testing.T) {
			noLeaks(t)
			dir := t.TempDir()
			pid := filepath.Join(dir, "pid")
			base := basis(t, dir) + fmt.Sprintf("\npid_file = %q", pid)
			s, err := newSubject(t, base, fmt.Sprintf("ports { %s = %d }", strings.TrimPrefix(key, "ports."), port))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Start()
			if err == nil {
				s.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
				t.Errorf("the error does not name the key and the port: %v", err)
			}
			if _, err := os.Stat(pid); err == nil {
				t.Error("the pid file is left")
			}
			again, err := newSubject(t, base)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Start(); err != nil {
				t.Errorf("nothing may be left in the way: %v", err)
			}
			again.Stop()
		})
	}
}

func TestDataDirectoryOfAnother(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	start(t, dir)
	second, err := newSubject(t, basis(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err = second.Start(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another agent") {
		t.Errorf("the second agent in one data_dir says %v", err)
	}
}

func TestNodeID(t *testing.T) {
	const configured = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	for name, c := range map[string]struct{ file, hcl, want, fails string }{
		"kept":            {file: "11111111-2222-3333-4444-555555555555\n", want: "11111111-2222-3333-4444-555555555555"},
		"configured wins": {file: "11111111-2222-3333-4444-555555555555", hcl: `node_id = "` + configured + `"`, want: configured},
		"broken":          {file: "hello", fails: "not a UUID"},
		"empty":           {file: "", fails: "not a UUID"},
		"dashes":          {file: strings.Repeat("-", 36), fails: "not a UUID"},
		"misplaced":       {file: "1111111122-22-3333-4444-555555555555", fails: "not a UUID"},
		"upper case":      {file: strings.ToUpper(configured), want: configured},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "node-id"), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := newSubject(t, basis(t, dir), c.hcl)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Start()
			defer s.Stop()
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), filepath.Join(dir, "node-id")) {
					t.Errorf("it says %v", err)
				}
				return
			}
			if err != nil || s.id != c.want || strings.ToLower(strings.TrimSpace(read(t, dir, "node-id"))) != c.want {
				t.Errorf("the id is %q in memory, %q in the file, error %v", s.id, read(t, dir, "node-id"), err)
			}
		})
	}
}

func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	s := start(t, t.TempDir(), fmt.Sprintf("pid_file = %q", path))
	if got := read(t, path); got != fmt.Sprint(os.Getpid()) {
		t.Errorf("the file holds %q", got)
	}
	s.Stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTellsSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	s := start(t, t.TempDir())
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	buffer := make([]byte, 1024)
	for _, want := range []string{"READY=1", "RELOADING=1", "READY=1", "STOPPING=1"} {
		n, err := l.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(buffer[:n]), "\n"); first != want {
			t.Errorf("got %q, want %q", buffer[:n], want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "http.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // as an agent leaves it that was killed
	s, err := newSubject(t, basis(t, t.TempDir()), fmt.Sprintf(`addresses { http = "unix://%s" } unix_sockets { mode = "0620" }`, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("the socket has mode %v, error %v", info.Mode(), err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	answer, err := client.Get("http://agent/v1/status/leader")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLeavesOn(t *testing.T) {
	for _, c := range []struct {
		hcl       string
		interrupt bool
		terminate bool
	}{
		{"", false, false}, // a server
		{"leave_on_terminate = true", false, true},
		{"skip_leave_on_interrupt = false", true, false},
		{"server = false bootstrap = false", true, true},
		{"server = false bootstrap = false skip_leave_on_interrupt = true leave_on_terminate = false", false, false},
	} {
		s, err := newSubject(t, basis(t, t.TempDir()), c.hcl)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.LeavesOn(os.Interrupt); got != c.interrupt {
			t.Errorf("%q: leaves on SIGINT: %v", c.hcl, got)
		}
		if got := s.LeavesOn(syscall.SIGTERM); got != c.terminate {
			t.Errorf("%q: leaves on SIGTERM: %v", c.hcl, got)
		}
		s.Stop()
	}
}

func TestLeaveOverHTTP(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	s.put("/v1/agent/leave", "")
	select {
	case <-s.Left():
	case <-within(t).Done():
		t.Fatal("it never left")
	}
	if err := s.Leave(within(t)); err != nil {
		t.Errorf("leaving twice: %v", err)
	}
}
