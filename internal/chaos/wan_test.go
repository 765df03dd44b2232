//go:build chaos

package chaos

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wan carries packets between the sites of a network, late and not all of them. Not every kernel has netem, so this process does it:
// a host has a TUN device to which the addresses of hosts at other sites are routed.
//
//	s1: wan0 ---- \                       / ---- wan0: s2
//	               this process: late, lost
//	s1: eth0 ---- \                       / ---- eth0: s2
//	               br0: to the test, and between hosts of one site
type wan struct {
	ports map[netip.Addr]*port

	mu    sync.Mutex      // guards what follows
	links map[[2]int]link // by the sites, the lower first
}

// A link is how two sites are joined.
type link struct {
	delay time.Duration // one way
	loss  float64       // the part of packets that is lost
	cut   bool
}

// A port is where a host meets the wan.
type port struct {
	host   *host
	site   int
	device *os.File
	queues map[netip.Addr]chan parcel // of what it has sent, by whom it is for
}

// A parcel is a packet under way.
type parcel struct {
	due    time.Time
	packet []byte
}

// underWay bounds the packets under way from one host to another.
const underWay = 4096

// newWAN joins hosts at sites by links without delay.
func newWAN(t *testing.T, sites ...[]*host) *wan {
	t.Helper()
	w := &wan{ports: map[netip.Addr]*port{}, links: map[[2]int]link{}}
	for i, hosts := range sites {
		for _, h := range hosts {
			w.ports[netip.MustParseAddr(h.address)] = &port{host: h, site: i + 1, device: tunnel(t, h), queues: map[netip.Addr]chan parcel{}}
		}
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for _, from := range w.ports {
		for address, to := range w.ports {
			if from.site == to.site {
				continue
			}
			inside(t, from.host.namespace, "ip", "route", "add", address.String(), "dev", "wan0", "src", from.host.address)
			queue := make(chan parcel, underWay)
			from.queues[address] = queue
			running.Go(func() { deliver(to.device, queue) })
		}
	}
	for _, p := range w.ports {
		running.Go(func() { w.carry(p) })
		t.Cleanup(func() { _ = p.device.Close() })
	}
	return w
}

// tunnel makes the device wan0 at a host.
func tunnel(t *testing.T, h *host) *os.File {
	t.Helper()
	var fd int
	err := within(namespace(t, h.namespace), func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq("wan0")
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	})
	if err != nil {
		t.Fatalf("make a TUN device at %s: %v", h.name, err)
	}
	inside(t, h.namespace, "ip", "link", "set", "wan0", "up", "mtu", "1500")
	return os.NewFile(uintptr(fd), "wan0")
}

// carry takes what a host sends until its device is closed.
func (w *wan) carry(from *port) {
	defer func() {
		for _, queue := range from.queues {
			close(queue)
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.device.Read(buf)
		if err != nil {
			return
		}
		packet := buf[:n]
		if n < 20 || packet[0]>>4 != 4 {
			continue // IPv6, which nobody asked for
		}
		address := netip.AddrFrom4([4]byte(packet[16:20]))
		queue := from.queues[address]
		if queue == nil {
			continue
		}
		l := w.link(from.site, w.ports[address].site)
		if l.cut || rand.Float64() < l.loss {
			continue
		}
		select {
		case queue <- parcel{time.Now().Add(l.delay), append([]byte(nil), packet...)}:
		default: // as a full queue does
		}
	}
}

// deliver gives packets to a host when they are due, until there are no more. It sleeps in the kernel, whose clocks are finer than
// those of the runtime.
func deliver(to io.Writer, queue <-chan parcel) {
	for p := range queue {
		for left := time.Until(p.due); left > 0; left = time.Until(p.due) {
			pause := unix.NsecToTimespec(int64(left))
			if err := unix.Nanosleep(&pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
				panic(err)
			}
		}
		_, _ = to.Write(p.packet) // a device that is gone loses it
	}
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

func (w *wan) link(a, b int) link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.links[pair(a, b)]
}

// join sets the link between two sites.
func (w *wan) join(a, b int, l link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[pair(a, b)] = l
}

// part cuts the link between two sites, or mends it.
func (w *wan) part(a, b int, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[pair(a, b)]
	l.cut = cut
	w.links[pair(a, b)] = l
}

// roundTrips measures some round trips of a byte over TCP between two hosts.
func (w *wan) roundTrips(t *testing.T, from, to *host, number int) (all []time.Duration) {
	t.Helper()
	var l net.Listener
	err := within(namespace(t, to.namespace), func() (err error) {
		l, err = net.Listen("tcp", to.address+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer l.Close()
	running.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, struct{ io.Reader }{c})
	})
	var conn net.Conn
	if err := within(namespace(t, from.namespace), func() (err error) {
		conn, err = net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range number {
		begun := time.Now()
		if _, err := conn.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(begun))
	}
	return all
}

// The wan is as late as it is told, loses what it is told, and can be cut.
func TestNetworkWAN(t *testing.T) {
	n := newNetwork(t)
	a, b, c := n.addHost(t, "a"), n.addHost(t, "b"), n.addHost(t, "c")
	w := newWAN(t, []*host{a}, []*host{b}, []*host{c})
	const delay = 20 * time.Millisecond
	w.join(1, 2, link{delay: delay})
	if times := w.roundTrips(t, a, b, 20); slices.Min(times) < 2*delay {
		t.Errorf("round trips over a delay of %s each way: %v", delay, times)
	}
	if times := w.roundTrips(t, a, c, 20); slices.Min(times) >= delay {
		t.Errorf("round trips without a delay: %v", times)
	}
	w.join(1, 2, link{loss: 0.1})
	times := w.roundTrips(t, a, b, 40)
	if slices.Max(times) < 100*time.Millisecond {
		t.Errorf("nothing is sent again where a tenth is lost: %v", times)
	}
	w.part(1, 2, true)
	if reaches(a, b) || !reaches(a, c) || !reaches(b, c) {
		t.Error("a and b are apart, and they alone")
	}
	w.join(1, 2, link{})
	if !reaches(a, b) {
		t.Error("a and b are joined again")
	}
}
