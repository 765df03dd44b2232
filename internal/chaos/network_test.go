//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A network is some hosts around a bridge. Each is a network namespace, and so is the bridge, from where the test talks to
// them. In the namespace of this process itself there is nothing, as other programs take their addresses from there:
//
//	lictor-1234-net: br0 .1 ---- lictor-1234-s1: eth0 .2
//	                        \--- lictor-1234-s2: eth0 .3
//
// Everything is named by this process's id. A run has sixteen addresses of 10.213.0.0/24 for itself.
type network struct {
	prefix string // of the namespaces
	block  int    // which sixteenth of the addresses
	hosts  int
	bridge *os.File // its namespace
	lock   *os.File // holds the block until this process ends
}

// A host is one namespace.
type host struct {
	name      string
	namespace string
	address   string
}

// newNetwork lays out a network without hosts, which goes when the test ends, however it ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root")
	}
	sweep(t)
	n := &network{prefix: fmt.Sprintf("lictor-%d-", os.Getpid())}
	n.reserve(t)
	n.watch(t)
	bridge := n.prefix + "net"
	command(t, "ip", "netns", "add", bridge)
	inside(t, bridge, "ip", "link", "add", "br0", "type", "bridge")
	inside(t, bridge, "ip", "link", "set", "br0", "up")
	inside(t, bridge, "ip", "addr", "add", n.address(1)+"/28", "dev", "br0")
	n.bridge = namespace(t, bridge)
	return n
}

// namespace opens a network namespace by its name, until the test ends.
func namespace(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("/run/netns", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// reserve takes the first free block of addresses.
func (n *network) reserve(t *testing.T) {
	t.Helper()
	for n.block = range 16 {
		name := filepath.Join(os.TempDir(), fmt.Sprintf("lictor-chaos-%d.lock", n.block))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			n.lock = f
			t.Cleanup(func() { _ = f.Close() })
			return
		}
		_ = f.Close()
	}
	t.Fatal("sixteen runs are under way: no addresses are left")
}

func (n *network) address(i int) string { return fmt.Sprintf("10.213.0.%d", n.block*16+i) }

// addHost adds a host.
func (n *network) addHost(t *testing.T, name string) *host {
	t.Helper()
	n.hosts++
	h := &host{name: name, namespace: n.prefix + name, address: n.address(1 + n.hosts)}
	command(t, "ip", "netns", "add", h.namespace)
	inside(t, h.namespace, "ip", "link", "set", "lo", "up")
	inside(t, h.namespace, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", n.prefix+"net")
	inside(t, h.namespace, "ip", "addr", "add", h.address+"/28", "dev", "eth0")
	inside(t, h.namespace, "ip", "link", "set", "eth0", "up")
	inside(t, n.prefix+"net", "ip", "link", "set", "dev", name, "master", "br0", "up")
	return h
}

// dial connects to a host from the namespace of the bridge.
func (n *network) dial(ctx context.Context, kind, address string) (conn net.Conn, err error) {
	err = within(n.bridge, func() error {
		conn, err = new(net.Dialer).DialContext(ctx, kind, address)
		return err
	})
	return conn, err
}

// within does something in a network namespace.
func within(namespace *os.File, do func() error) error {
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = do()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread must not serve others
	}
	runtime.UnlockOSThread()
	return err
}

// http is a client whose requests end after a time.
func (n *network) http(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		DialContext: n.dial, MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second,
	}}
}

// command runs a program that has to succeed.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := try(name, args...); err != nil {
		t.Fatal(err)
	}
}

func inside(t *testing.T, namespace string, args ...string) {
	t.Helper()
	command(t, "ip", append([]string{"netns", "exec", namespace}, args...)...)
}

func try(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// do runs a program at a host.
func (h *host) do(args ...string) error {
	return try("ip", append([]string{"netns", "exec", h.namespace}, args...)...)
}

// deafen lets a host hear nothing of another one.
func (h *host) deafen(to *host) error {
	return h.do("iptables", "-w", "-A", "INPUT", "-s", to.address, "-j", "DROP")
}

// lose lets a host lose a part of what it receives of another one.
func (h *host) lose(of *host, part float64) error {
	return h.do("iptables", "-w", "-A", "INPUT", "-s", of.address, "-m", "statistic", "--mode", "random",
		"--probability", strconv.FormatFloat(part, 'f', 3, 64), "-j", "DROP")
}

// slow makes what a host sends late: by netem, or where the kernel has none by little bandwidth.
func (h *host) slow() error {
	if h.do("tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay", "60ms", "40ms", "loss", "2%") == nil {
		return nil
	}
	return h.do("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", "400kbit", "burst", "4kb", "latency", "500ms")
}

// heal undoes what was done to a host's network.
func (h *host) heal() error {
	_ = h.do("tc", "qdisc", "del", "dev", "eth0", "root") // there may be none
	return h.do("iptables", "-w", "-F")
}

// clean removes the namespaces whose names begin with lictor-$1-, and what runs in them. Their links go with them.
const clean = `
for n in $(ip netns list | awk '{print $1}' | grep "^lictor-$1-"); do
  kill -9 $(ip netns pids "$n") 2>/dev/null
  ip netns del "$n"
done`

// watch starts the janitor, which cleans up when its standard input ends. It is a process of its own, so that a panic here
// or a kill -9 leaves nothing behind.
func (n *network) watch(t *testing.T) {
	t.Helper()
	janitor := exec.Command("sh", "-c", "read _; "+clean, "janitor", strconv.Itoa(os.Getpid()))
	janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := janitor.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := janitor.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = leash.Close()
		if err := janitor.Wait(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// sweep removes what runs have left whose process is gone, and whose janitor was stopped, too.
func sweep(t *testing.T) {
	t.Helper()
	all, err := filepath.Glob("/run/netns/lictor-*-net")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(path), "lictor-%d-net", &pid); err != nil {
			continue
		}
		if unix.Kill(pid, 0) == nil {
			continue
		}
		if err := try("sh", "-c", clean, "sweep", strconv.Itoa(pid)); err != nil {
			t.Error(err)
		}
	}
}
