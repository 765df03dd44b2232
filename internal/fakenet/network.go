// Package fakenet is a network in memory for whole agents in tests: hosts with IP addresses, listeners, connections and
// packets, and the faults that a real network has. Everything that waits in it waits on channels, conditions and timers,
// so that it runs in the fake time of a testing/synctest bubble; nothing of it runs by itself, so that there is nothing
// to close.
//
// It knows nothing of what is said over it. A Host has the methods that gossip and rpc ask of a network, and the errors
// are those of package net.
//
// What it imitates of TCP: bytes come in order, after the latency, and wait at the sender while 256 KiB are under way or
// unread; a lost segment is sent again, later each time; a connection over a cut link hangs, goes on soon after the link
// is back, and ends after fifteen minutes with ETIMEDOUT; a process that was killed has its connections reset; a dial
// to a host without a listener is refused, and one to a host that is away takes until its context ends. There are no
// keepalives: an idle connection to a host that has vanished stays.
package fakenet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// DefaultLatency is the time from a host to another, one way. Up to a tenth is added by chance.
const DefaultLatency = time.Millisecond

// Network is a set of hosts. Its methods may be called from any goroutine; faults take effect at once, for what is under
// way too. They name a host by its IP address and panic if it is not one.
type Network struct {
	// mu guards all of the network: the fields below and those of machines, hosts, connections and sockets. Who waits
	// for something waits on a sync.Cond of mu, or without mu.
	mu       sync.Mutex
	rng      *rand.Rand
	latency  time.Duration
	machines map[netip.Addr]*machine
	cuts     map[[2]netip.Addr]bool
	walls    map[[2]netip.Addr]bool // between these no packets pass
	links    map[*link]struct{}
}

// machine is an address with what befalls it. Processes on it come and go.
type machine struct {
	addr     netip.Addr
	host     *Host // the process that has run last; nil: none yet
	island   int   // machines of different islands do not reach each other
	isolated bool
	paused   bool
	gone     bool
	loss     float64
	delay    time.Duration
	nextPort uint16
	resumed  *sync.Cond // for what a paused process would do
}

// New returns a network without hosts. Its chances are drawn from the seed.
func New(seed uint64) *Network {
	return &Network{
		rng: rand.New(rand.NewPCG(seed, seed)), latency: DefaultLatency, machines: map[netip.Addr]*machine{},
		cuts: map[[2]netip.Addr]bool{}, walls: map[[2]netip.Addr]bool{}, links: map[*link]struct{}{},
	}
}

// Host returns the process that runs at an IP address. If none does, because there was none or it was killed, a new one
// starts there; a machine that had vanished comes back.
func (n *Network) Host(addr string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.machine(addr)
	if m.host == nil || m.host.dead {
		m.host = newHost(n, m)
		m.gone, m.paused = false, false
		n.mended()
	}
	return m.host
}

// machine returns the machine of an address, a new one if need be. The caller holds mu.
func (n *Network) machine(addr string) *machine {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		panic(fmt.Sprintf("fakenet: %q is not an IP address", addr))
	}
	a = a.Unmap()
	m := n.machines[a]
	if m == nil {
		m = &machine{addr: a, gone: true, nextPort: firstEphemeral, resumed: sync.NewCond(&n.mu)}
		n.machines[a] = m
	}
	return m
}

// change changes something about some machines and looks again at all that waits.
func (n *Network) change(do func(machines []*machine), addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	machines := make([]*machine, len(addrs))
	for i, a := range addrs {
		machines[i] = n.machine(a)
	}
	do(machines)
	n.mended()
}

// mended lets all look again that wait for a fault to end. The caller holds mu.
func (n *Network) mended() {
	now := time.Now()
	for l := range n.links {
		l.near.out.retry(now)
		l.far.out.retry(now)
	}
	for _, m := range n.machines {
		m.resumed.Broadcast()
	}
}

// Latency sets the time that everything takes from one host to another, one way.
func (n *Network) Latency(d time.Duration) { n.change(func([]*machine) { n.latency = d }) }

// Delay makes all that a host sends or is sent take longer by d.
func (n *Network) Delay(addr string, d time.Duration) {
	n.change(func(m []*machine) { m[0].delay = d }, addr)
}

// Cut cuts the link between two hosts: packets are lost, connections hang.
func (n *Network) Cut(a, b string) {
	n.change(func(m []*machine) { n.cuts[pair(m[0], m[1])] = true }, a, b)
}

// Heal mends the link between two hosts that Cut has cut.
func (n *Network) Heal(a, b string) {
	n.change(func(m []*machine) { delete(n.cuts, pair(m[0], m[1])) }, a, b)
}

// NoPackets lets no packets pass between two hosts from now on, as a firewall for UDP does. Connections are none of its business.
// It is no fault: HealAll leaves it.
func (n *Network) NoPackets(a, b string) {
	n.change(func(m []*machine) { n.walls[pair(m[0], m[1])] = true }, a, b)
}

func pair(a, b *machine) [2]netip.Addr {
	if b.addr.Less(a.addr) {
		a, b = b, a
	}
	return [2]netip.Addr{a.addr, b.addr}
}

// Partition splits the network into these groups and the group of all other hosts; it takes the place of an earlier
// partition. Hosts of two groups do not reach each other.
func (n *Network) Partition(groups ...[]string) {
	n.change(func([]*machine) {
		for _, m := range n.machines {
			m.island = 0
		}
		for i, group := range groups {
			for _, addr := range group {
				n.machine(addr).island = i + 1
			}
		}
	})
}

// Isolate cuts a host off from all others.
func (n *Network) Isolate(addr string) {
	n.change(func(m []*machine) { m[0].isolated = true }, addr)
}

// Rejoin ends what Isolate did.
func (n *Network) Rejoin(addr string) {
	n.change(func(m []*machine) { m[0].isolated = false }, addr)
}

// HealAll ends cuts, partitions and isolations.
func (n *Network) HealAll() {
	n.change(func([]*machine) {
		clear(n.cuts)
		for _, m := range n.machines {
			m.island, m.isolated = 0, false
		}
	})
}

// Loss makes a host lose this share, 0 to 1, of all that it sends and of all that it is sent. Lost segments of
// connections are sent again and so come later.
func (n *Network) Loss(addr string, share float64) {
	n.change(func(m []*machine) { m[0].loss = share }, addr)
}

// Pause stops a host as SIGSTOP stops a process: connections stay and can be made, but nothing arrives in the process,
// and of what it sends packets are lost and all else waits. (Its goroutines do run, unheard.)
func (n *Network) Pause(addr string) {
	n.change(func(m []*machine) { m[0].paused = true }, addr)
}

// Resume ends a pause; what has come meanwhile arrives.
func (n *Network) Resume(addr string) {
	n.change(func(m []*machine) { m[0].paused = false }, addr)
}

// Kill ends the process at an address as kill -9 does: its listeners are gone, its connections are reset. The Host is of
// no use any more; a new process is started with Network.Host.
func (n *Network) Kill(addr string) { n.end(addr, false) }

// Vanish ends the machine at an address, as a loss of power does: it ends the process, but nobody is told, and nobody is
// answered until Network.Host starts the machine again.
func (n *Network) Vanish(addr string) { n.end(addr, true) }

func (n *Network) end(addr string, silently bool) {
	n.change(func(ms []*machine) {
		m := ms[0]
		m.gone = silently
		m.paused = false
		if m.host != nil {
			m.host.die(silently)
		}
	}, addr)
}

// reaches tells whether what one machine sends arrives at another, leaving pauses aside. The caller holds mu.
func (n *Network) reaches(a, b *machine) bool {
	if a.gone || b.gone {
		return false
	}
	return a == b || a.island == b.island && !a.isolated && !b.isolated && !n.cuts[pair(a, b)]
}

// travel draws how long something takes from one machine to another, and whether it is lost on the way. The caller
// holds mu.
func (n *Network) travel(a, b *machine) (d time.Duration, lost bool) {
	if a == b {
		return 0, false
	}
	d = n.latency + a.delay + b.delay
	d += time.Duration(n.rng.Float64() * float64(d) / 10)
	return d, a.loss > 0 && n.rng.Float64() < a.loss || b.loss > 0 && n.rng.Float64() < b.loss
}
