package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/serf/serf"
)

// Pool is one membership of this agent. New makes it, Start makes it a member of a pool of one, Join merges that with
// others, Stop ends it for good. Its methods may be called from any goroutine.
type Pool struct {
	cfg    Config
	log    *slog.Logger
	keys   *keys
	guard  *guard
	roster *roster
	pace   *pace // belongs to the pump
	events chan Event
	users  chan UserEvent
	done   chan struct{}
	// joining holds a token while serf joins others.
	joining chan struct{}
	// cancel ends what runs beside serf.
	cancel context.CancelFunc

	serf atomic.Pointer[serf.Serf]

	// mu guards the life cycle: state, conf and addr. No call into serf that waits is made under it.
	mu    sync.Mutex
	state int
	conf  *serf.Config
	addr  netip.AddrPort
	// calls counts the goroutines that wait in serf, for a caller or for insist; Stop waits for them.
	calls sync.WaitGroup
}

// The states of a pool.
const (
	stateNew = iota
	stateRunning
	stateStopped
)

// New checks the configuration and reads the keyring. It opens no socket and starts nothing.
func New(cfg Config) (*Pool, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("%s gossip: %w", cfg.Kind, err)
	}
	if cfg.ReconnectTimeout == 0 {
		cfg.ReconnectTimeout = DefaultReconnectTimeout
	}
	cfg.Tuning = cfg.Tuning.filled(DefaultTuning(cfg.Kind))
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("pool", cfg.Kind.String())
	k, err := openKeys(&cfg, log)
	if err != nil {
		return nil, err
	}
	return &Pool{
		cfg: cfg, log: log, keys: k, guard: newGuard(&cfg, log), roster: newRoster(cfg.rosterPath()),
		events: make(chan Event), users: make(chan UserEvent), done: make(chan struct{}), joining: make(chan struct{}, 1),
	}, nil
}

// Start binds the pool's port and makes this agent its first member. Members that the snapshot remembers are rejoined
// in the background. A pool starts once.
func (p *Pool) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateNew {
		return errors.New("gossip pool was started before")
	}
	p.state = stateStopped // unless all goes well
	if path := p.cfg.snapshotPath(); path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("%s gossip: %w", p.cfg.Kind, err)
		}
	}
	before, err := p.cfg.before()
	if err != nil {
		return fmt.Errorf("%s gossip: read who was a member: %w", p.cfg.Kind, err)
	}
	transport, err := p.openTransport()
	if err != nil {
		return fmt.Errorf("%s gossip: %w", p.cfg.Kind, err)
	}
	if err := p.checkOwnAddress(transport); err != nil {
		return errors.Join(fmt.Errorf("%s gossip: %w", p.cfg.Kind, err), transport.Shutdown())
	}
	in := make(chan serf.Event, serfBacklog)
	p.conf = p.serfConfig(transport, in)
	s, err := serf.Create(p.conf)
	if err != nil {
		return errors.Join(fmt.Errorf("%s gossip: %w", p.cfg.Kind, err), transport.Shutdown())
	}
	local := s.LocalMember()
	p.addr = netip.AddrPortFrom(addrOf(local.Addr), local.Port)
	p.guard.seen(Event{Type: MemberJoin, Member: memberOf(local)})
	p.serf.Store(s)
	p.state = stateRunning
	steady(s.Memberlist(), p.conf.MemberlistConfig.UDPBufferSize)
	p.pace = newPace(s.Memberlist(), p.cfg.memberName(), p.cfg.Tuning)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.calls.Go(func() { p.insist(ctx, s) })
	if p.roster.path != "" {
		p.calls.Go(func() {
			p.roster.keep(ctx, s.Members, func(err error) { p.log.Error("members not kept for the next start", "error", err) })
		})
	}
	if len(before) > 0 {
		p.calls.Go(func() { p.rejoin(ctx, s, before) })
	}
	if p.keys.ring != nil && p.keys.path != "" {
		p.calls.Go(func() { p.keys.keep(ctx, p.log) })
	}
	go p.pump(in, s.ShutdownCh())
	return nil
}

// checkOwnAddress refuses an address that this agent would not accept of others; serf ends the process over it.
func (p *Pool) checkOwnAddress(t *netTransport) error {
	ip, _, err := t.FinalAdvertiseAddr(p.cfg.AdvertiseAddr, p.cfg.AdvertisePort)
	if err != nil || len(p.cfg.AllowedCIDRs) == 0 {
		return err
	}
	own := addrOf(ip)
	for _, allowed := range p.cfg.AllowedCIDRs {
		if allowed.Contains(own) {
			return nil
		}
	}
	return fmt.Errorf("this agent's address %s is in none of the allowed networks %v", own, p.cfg.AllowedCIDRs)
}

// pump runs until serf has shut down, which Stop does.
func (p *Pool) pump(in <-chan serf.Event, stopped <-chan struct{}) {
	defer close(p.done)
	q := &pump{in: in, stopped: stopped, members: p.events, users: p.users, seen: p.seen, log: p.log}
	q.run()
}

// seen watches the member events on their way.
func (p *Pool) seen(e Event) {
	p.guard.seen(e)
	p.pace.seen(e)
	p.roster.note()
	// Who hears plaintext as well may have met anybody.
	proved := e.Type == MemberJoin && e.Member.Name != p.cfg.memberName() && !p.cfg.Encryption.AcceptPlaintext
	if proved {
		if err := p.keys.save(); err != nil {
			p.log.Error("gossip keyring not saved", "error", err)
		}
	}
}

// Stop leaves the network without a word; others will find this agent dead unless Leave came first. It returns when
// the sockets are closed, the snapshot is written and the goroutines of this package have ended; of memberlist's, one
// that waits for the answer to a probe ends by itself when the probe's time is over. Stop may be called at any time and
// more than once.
func (p *Pool) Stop() error {
	p.mu.Lock()
	s := p.serf.Load()
	p.state = stateStopped
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	p.cancel()
	err := s.Shutdown()
	p.calls.Wait()
	<-p.done
	return err
}

// Done is closed when a started pool has ended.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Addr returns the address and port that the others are told. It is valid after Start.
func (p *Pool) Addr() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Events returns the channel of member events. It is closed when the pool ends. A reader that falls far behind gets
// EventsLost in the place of what it missed.
func (p *Pool) Events() <-chan Event { return p.events }

// UserEvents returns the channel of user events. It is closed when the pool ends. The oldest are dropped for a reader
// that falls far behind.
func (p *Pool) UserEvents() <-chan UserEvent { return p.users }

func (p *Pool) running() (*serf.Serf, error) {
	s := p.serf.Load()
	if s == nil || s.State() == serf.SerfShutdown {
		return nil, ErrNotRunning
	}
	return s, nil
}

// await runs a call that waits in serf and returns its error, or the context's when that ends first. The call then goes
// on by itself; Stop cuts it short and waits for it.
func (p *Pool) await(ctx context.Context, call func() error) error {
	p.mu.Lock()
	if p.state != stateRunning {
		p.mu.Unlock()
		return ErrNotRunning
	}
	p.calls.Add(1)
	p.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		defer p.calls.Done()
		result <- call()
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Members returns all that the pool knows, dead and left ones too, sorted by name.
func (p *Pool) Members() []Member {
	s, err := p.running()
	if err != nil {
		return nil
	}
	known := s.Members()
	out := make([]Member, len(known))
	for i, m := range known {
		out[i] = memberOf(m)
	}
	sortMembers(out)
	return out
}

// NumMembers returns how many members the pool knows, without building them.
func (p *Pool) NumMembers() int {
	s, err := p.running()
	if err != nil {
		return 0
	}
	return s.NumNodes()
}

// Local returns this agent as a member. It reports false while the pool is not running.
func (p *Pool) Local() (Member, bool) {
	s, err := p.running()
	if err != nil {
		return Member{}, false
	}
	return memberOf(s.LocalMember()), true
}

// Stats returns counters for `info`, by name.
func (p *Pool) Stats() map[string]string {
	s, err := p.running()
	if err != nil {
		return map[string]string{}
	}
	return s.Stats()
}

// SetTags tells the others new tags of this agent. It returns when the news is out, or nobody is there to hear it.
func (p *Pool) SetTags(ctx context.Context, tags Tags) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	p.guard.setTags(tags)
	return p.await(ctx, func() error { return s.SetTags(tags.Encode()) })
}

// UserEvent broadcasts an event to all members, this one too. Name and payload together are limited to
// MaxUserEvent bytes as encoded.
func (p *Pool) UserEvent(name string, payload []byte) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	return s.UserEvent(name, payload, false)
}

// Join contacts the addresses, of the form host, host:port or name/host:port, and merges pools with those that answer.
// It returns how many did; the error is nil if at least one did.
func (p *Pool) Join(ctx context.Context, addrs []string) (int, error) {
	s, err := p.running()
	if err != nil {
		return 0, err
	}
	targets, resolveErr := p.resolve(ctx, addrs)
	if len(targets) == 0 {
		return 0, resolveErr
	}
	joined := make(chan int, 1)
	err = p.await(ctx, func() error {
		select { // one at a time, as serf would see to for longer than the caller has
		case p.joining <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-p.joining }()
		n, err := s.Join(targets, true)
		joined <- n
		return err
	})
	n := 0
	select {
	case n = <-joined:
	default:
	}
	if n > 0 {
		return n, nil
	}
	return 0, errors.Join(err, resolveErr)
}

// resolve turns names into addresses, within the caller's time.
func (p *Pool) resolve(ctx context.Context, addrs []string) ([]string, error) {
	var targets []string
	var errs []error
	for _, addr := range addrs {
		found, err := p.resolveOne(ctx, strings.TrimSpace(addr))
		targets = append(targets, found...)
		if err != nil {
			errs = append(errs, fmt.Errorf("resolve %s: %w", addr, err))
		}
	}
	return targets, errors.Join(errs...)
}

func (p *Pool) resolveOne(ctx context.Context, addr string) ([]string, error) {
	prefix := ""
	if i := strings.IndexByte(addr, '/'); i >= 0 {
		prefix, addr = addr[:i+1], addr[i+1:]
	}
	host, port, err := splitHostPort(addr, p.defaultPort())
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{prefix + net.JoinHostPort(ip.String(), port)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = prefix + net.JoinHostPort(ip.Unmap().String(), port)
	}
	return out, nil
}

// defaultPort is that of an address without one: the port that this agent is bound to.
func (p *Pool) defaultPort() string {
	if p.cfg.BindPort != 0 {
		return strconv.Itoa(p.cfg.BindPort)
	}
	return strconv.Itoa(int(p.Addr().Port()))
}

// splitHostPort takes host, host:port, an IPv6 address and [IPv6]:port.
func splitHostPort(addr, port string) (string, string, error) {
	if addr == "" {
		return "", "", errors.New("empty address")
	}
	if ip, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
		return ip.String(), port, nil
	}
	if !strings.Contains(addr, ":") {
		return addr, port, nil
	}
	host, given, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "", err
	}
	if _, err := strconv.ParseUint(given, 10, 16); err != nil {
		return "", "", fmt.Errorf("bad port %q", given)
	}
	return host, given, nil
}
