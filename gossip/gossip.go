// Package gossip finds the other agents and notices when they die. It is the only importer of serf and memberlist: a
// Pool is one serf membership, the LAN pool of all agents of a datacenter or the WAN pool of the servers of all
// datacenters.
//
// The package knows names, addresses, tags, keys, user events and network coordinates. It knows nothing of the catalog,
// of Raft or of who leads: it emits member events on a channel, and whoever reads them decides what they mean.
package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"
)

// Kind says which of the two pools of an agent a Pool is.
type Kind int

// The two kinds of pool: LAN holds every agent of one datacenter, WAN the servers of all of them.
const (
	LAN Kind = iota
	WAN
)

// String returns "lan" or "wan", as logs and statistics name the pool.
func (k Kind) String() string {
	if k == WAN {
		return "wan"
	}
	return "lan"
}

// fileName is the base name of the pool's files under DataDir/serf.
func (k Kind) fileName() string {
	if k == WAN {
		return "remote"
	}
	return "local"
}

// Errors that callers tell apart.
var (
	// ErrNotRunning is returned by operations on a pool that was not started, or was stopped.
	ErrNotRunning = errors.New("gossip pool is not running")
	// ErrNoMember is returned by ForceLeave for a name that the pool does not hold.
	ErrNoMember = errors.New("no member of that name")
)

// DefaultReconnectTimeout is how long a failed member is retried before it is reaped.
const DefaultReconnectTimeout = 72 * time.Hour

// MaxNodeName is the longest node name, in bytes, that a pool accepts of itself or of others.
const MaxNodeName = 128

// Config is what a Pool needs. NodeName is required; the zero value of every other field has a meaning.
type Config struct {
	Kind Kind
	// NodeName is the agent's name. In the WAN pool the member is called NodeName.Datacenter.
	NodeName string
	// Tags are what the other members learn of this one.
	Tags Tags

	// BindAddr is the IP address to listen on, TCP and UDP; empty means all of IPv4. BindPort 0 takes a free port.
	BindAddr string
	BindPort int
	// AdvertiseAddr is the IP address that others are told; empty means BindAddr, or a private address of this host if
	// that is unspecified. AdvertisePort 0 means the bound port.
	AdvertiseAddr string
	AdvertisePort int
	// Transport is how gossip travels. Only a WAN pool may have another one than OverUDP.
	Transport Transport
	// Secure is the way over TLS, to and from members whose transport that is. OverTLS needs it; BindAddr and BindPort are then
	// of no use, and AdvertisePort is the port of calls. Nil: there is none.
	Secure *Secure
	// AllowedCIDRs are the networks whose members are accepted; none means all.
	AllowedCIDRs []netip.Prefix

	// DataDir keeps the snapshot and the keyring, in its directory serf; empty keeps nothing.
	DataDir string
	// RejoinAfterLeave rejoins from the snapshot even after a graceful leave.
	RejoinAfterLeave bool
	// ReconnectTimeout is when a failed member is reaped; 0 means DefaultReconnectTimeout. A member that advertises one
	// of its own (Tags.ReconnectTimeout) is reaped by that. ReconnectTimeoutServers is that of servers, if it is not 0.
	ReconnectTimeout        time.Duration
	ReconnectTimeoutServers time.Duration

	Encryption         Encryption
	Tuning             Tuning
	DisableCoordinates bool

	// Logger receives the pool's messages and those of the libraries under it; nil discards them.
	Logger *slog.Logger
	// Network opens the pool's sockets; nil means those of this host.
	Network Network
}

// Encryption is the secrecy of a pool.
type Encryption struct {
	// Key is the base64 form of a key of 16, 24 or 32 bytes. It is used where no keyring file exists yet; a keyring
	// file wins over it. With neither, the pool is not encrypted.
	Key string
	// DisableFile keeps the keyring in memory alone.
	DisableFile bool
	// AcceptPlaintext and SendPlaintext relax the pool while encryption is being switched on or off, agent by agent.
	AcceptPlaintext bool
	SendPlaintext   bool
}

// Tuning holds the timing of gossip; a zero field means the default of the pool's kind.
type Tuning struct {
	GossipNodes    int
	GossipInterval time.Duration
	ProbeInterval  time.Duration
	ProbeTimeout   time.Duration
	SuspicionMult  int
	RetransmitMult int
}

// lanRetransmit is three times what memberlist has: with that, a member of a small pool that loses three packets of ten
// is now and then declared dead because all copies of its answer to a suspicion were lost. See DESIGN.md.
const lanRetransmit = 12

// DefaultTuning returns the timing that a pool of this kind has when nothing else is configured.
func DefaultTuning(k Kind) Tuning {
	if k == WAN {
		return Tuning{4, 500 * time.Millisecond, 5 * time.Second, 3 * time.Second, 6, 4}
	}
	return Tuning{3, 200 * time.Millisecond, time.Second, 500 * time.Millisecond, 4, lanRetransmit}
}

// filled returns t with the zero fields replaced by the defaults d.
func (t Tuning) filled(d Tuning) Tuning {
	pick(&t.GossipNodes, d.GossipNodes)
	pick(&t.GossipInterval, d.GossipInterval)
	pick(&t.ProbeInterval, d.ProbeInterval)
	pick(&t.ProbeTimeout, d.ProbeTimeout)
	pick(&t.SuspicionMult, d.SuspicionMult)
	pick(&t.RetransmitMult, d.RetransmitMult)
	return t
}

func pick[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// memberName is the name under which this agent is a member of the pool.
func (c *Config) memberName() string {
	if c.Kind == WAN && c.Tags.Datacenter != "" {
		return c.NodeName + "." + c.Tags.Datacenter
	}
	return c.NodeName
}

// snapshotPath is where serf remembers the members it knew, or "".
func (c *Config) snapshotPath() string {
	if c.DataDir == "" {
		return ""
	}
	return filepath.Join(c.DataDir, "serf", c.Kind.fileName()+".snapshot")
}

// rosterPath is where the members that are alive are kept, or "".
func (c *Config) rosterPath() string {
	if c.DataDir == "" {
		return ""
	}
	return filepath.Join(c.DataDir, "serf", c.Kind.fileName()+".members")
}

// keyringPath is where the keyring is kept, or "".
func (c *Config) keyringPath() string {
	if c.DataDir == "" || c.Encryption.DisableFile {
		return ""
	}
	return filepath.Join(c.DataDir, "serf", c.Kind.fileName()+".keyring")
}

// shortestReconnect is when the first failed members are reaped, as far as is configured here.
func (c *Config) shortestReconnect() time.Duration {
	if c.ReconnectTimeoutServers > 0 {
		return min(c.ReconnectTimeout, c.ReconnectTimeoutServers)
	}
	return c.ReconnectTimeout
}

func (c *Config) validate() error {
	if c.NodeName == "" {
		return errors.New("node name must not be empty")
	}
	if n := len(c.memberName()); n > MaxNodeName {
		return fmt.Errorf("node name of %d bytes is longer than %d", n, MaxNodeName)
	}
	if c.Kind == WAN && !c.Tags.Server {
		return errors.New("only servers join the wan pool")
	}
	if c.Kind == LAN && (c.Transport != OverUDP || c.Secure != nil) {
		return errors.New("only the wan pool has a choice of transport")
	}
	if c.Transport == OverTLS && c.Secure == nil {
		return errors.New("transport tls needs a way over TLS")
	}
	for _, f := range []struct{ name, addr string }{{"bind", c.BindAddr}, {"advertise", c.AdvertiseAddr}} {
		if f.addr == "" {
			continue
		}
		if _, err := netip.ParseAddr(f.addr); err != nil {
			return fmt.Errorf("%s address %q is not an IP address", f.name, f.addr)
		}
	}
	for _, port := range []int{c.BindPort, c.AdvertisePort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("port %d is out of range", port)
		}
	}
	t := c.Tuning
	if t.GossipNodes < 0 || t.GossipInterval < 0 || t.ProbeInterval < 0 || t.ProbeTimeout < 0 ||
		t.SuspicionMult < 0 || t.RetransmitMult < 0 || c.ReconnectTimeout < 0 || c.ReconnectTimeoutServers < 0 {
		return errors.New("gossip timing must not be negative")
	}
	return nil
}
