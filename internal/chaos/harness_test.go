//go:build chaos

package chaos

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// reaches tells whether packets of one host come to another one and back: a port that nobody listens at is refused at once.
func reaches(from, to *host) bool {
	const timedOut = 124
	var ended *exec.ExitError
	err := from.do("timeout", "0.5", "bash", "-c", "true >/dev/tcp/"+to.address+"/9")
	return errors.As(err, &ended) && ended.ExitCode() != timedOut
}

// The network does what the nemeses ask of it, and is gone when the test is.
func TestNetwork(t *testing.T) {
	prefix := fmt.Sprintf("lictor-%d-", os.Getpid())
	before := interfaces(t)
	t.Run("hosts", func(t *testing.T) {
		n := newNetwork(t)
		a, b, c := n.addHost(t, "a"), n.addHost(t, "b"), n.addHost(t, "c")
		if now := interfaces(t); !slices.Equal(now, before) {
			t.Errorf("this namespace has the addresses %v, and had %v", now, before)
		}
		for _, pair := range [][2]*host{{a, b}, {b, c}, {c, a}} {
			if !reaches(pair[0], pair[1]) {
				t.Fatalf("%s does not reach %s", pair[0].name, pair[1].name)
			}
		}
		if err := a.deafen(b); err != nil {
			t.Fatal(err)
		}
		if reaches(a, b) || !reaches(a, c) || !reaches(b, c) {
			t.Error("a is deaf to b, and to b only")
		}
		if err := a.heal(); err != nil || !reaches(a, b) {
			t.Error("a is healed", err)
		}
		for _, err := range []error{a.lose(b, 0.999), a.heal(), a.slow(), a.heal()} {
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := n.dial(t.Context(), "tcp", a.address+":9"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from here to a: %v", err)
		}
	})
	if left, _ := filepath.Glob("/run/netns/" + prefix + "*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// interfaces are the addresses of this process's own namespace.
func interfaces(t *testing.T) (all []string) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// What a run leaves that is killed together with its janitor is swept by the next one.
func TestSweep(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	prefix := fmt.Sprintf("lictor-%d-", dead.Process.Pid)
	for _, name := range []string{"net", "s1"} {
		command(t, "ip", "netns", "add", prefix+name)
	}
	sleeper := exec.Command("ip", "netns", "exec", prefix+"s1", "sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); try("sh", "-c", "ip netns pids $1 | grep -q .", "pids", prefix+"s1") != nil; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("no process in the namespace")
		}
	}
	newNetwork(t)
	if left, _ := filepath.Glob("/run/netns/" + prefix + "*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := sleeper.Wait(); err == nil {
		t.Error("the process ends by itself")
	}
}
