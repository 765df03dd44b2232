package kvreplication

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// A Feed is a datacenter to copy from.
type Feed struct {
	Token      string // for reading there
	WriteToken string // for writing here
	Rules      []Rule
	MaxKeys    int           // keys written in a second; 0 is no limit
	MaxBytes   int           // bytes written in a second; 0 is no limit
	Compare    time.Duration // from one comparison of all keys to the next; 0 compares only when it must
}

// Counts count what is copied.
type Counts struct{ Written, Deleted, Failures *telemetry.Counter }

// Config is what a Manager is made of.
type Config struct {
	Log        state.Log
	Datacenter string // this one
	// Stream brings a Follow to a server of the header's datacenter and delivers the Pages, all encoded, until that ends.
	Stream  func(ctx context.Context, h rpc.Header, args []byte, deliver func([]byte) error) error
	Resolve func(ctx context.Context, token string) (acl.Authorizer, error)
	Logger  *slog.Logger
	Counts  Counts
}

// A Manager keeps all copies that this datacenter has. It works where Run is called: on the leader.
type Manager struct {
	Config
	renewed chan struct{} // has room for one; told when feeds change

	mu      sync.Mutex // guards what follows
	feeds   []Feed
	copiers []*copier // at work
}

// NewManager makes a Manager that does nothing until Run.
func NewManager(c Config) *Manager { return &Manager{Config: c, renewed: make(chan struct{}, 1)} }

// Configure says what is to be copied from now on, in the place of what was.
func (m *Manager) Configure(feeds []Feed) {
	m.mu.Lock()
	same := reflect.DeepEqual(m.feeds, feeds)
	m.feeds = feeds
	m.mu.Unlock()
	if same {
		return
	}
	select {
	case m.renewed <- struct{}{}:
	default:
	}
}

// Run copies until ctx ends, and returns when nothing is under way any more.
func (m *Manager) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select { // what was told before is seen below
		case <-m.renewed:
		default:
		}
		m.mu.Lock()
		feeds := m.feeds
		m.mu.Unlock()
		if err := m.putInForce(ctx, feeds); err != nil {
			m.Logger.Warn("failed to put the rules of kv_replication in force", "error", err)
			select {
			case <-time.After(retryMin):
			case <-ctx.Done():
			}
			continue
		}
		m.work(ctx, feeds)
	}
}

// putInForce writes the rules to the state if they are not there. That comes before anything is copied, so that of two
// datacenters that are to copy from each other at least one finds out.
func (m *Manager) putInForce(ctx context.Context, feeds []Feed) error {
	c := &Configure{}
	for _, f := range feeds {
		c.Rules = append(c.Rules, f.Rules...)
	}
	if c.inForce(m.Log.DB().Read().Unwatched()) {
		return nil
	}
	_, err := m.Log.Apply(ctx, c)
	return err
}

// work copies until the feeds change or ctx ends.
func (m *Manager) work(ctx context.Context, feeds []Feed) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var copiers []*copier
	for i := range feeds {
		f := &feeds[i]
		pace := newPace(f)
		for k := range f.Rules {
			r := &f.Rules[k]
			copiers = append(copiers, &copier{Manager: m, feed: f, rule: r, pace: pace, account: newAccount(r), compare: time.Now().Add(f.Compare),
				logger: m.Logger.With("datacenter", r.Datacenter, "source", r.Source, "destination", r.Destination)})
		}
	}
	m.show(copiers)
	for _, c := range copiers {
		running.Go(func() { c.run(ctx) })
	}
	select {
	case <-m.renewed:
	case <-ctx.Done():
	}
	cancel()
	running.Wait()
	m.show(nil)
}

func (m *Manager) show(copiers []*copier) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copiers = copiers
}

// Statuses are how the rules are doing that this server works on: none, if it does not lead.
func (m *Manager) Statuses() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []Status{}
	for _, c := range m.copiers {
		all = append(all, c.account.get())
	}
	return all
}

// Status answers StatusMethod.
func (m *Manager) Status(_ context.Context, az acl.Authorizer, _ *struct{}) (Statuses, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return Statuses{}, err
	}
	return Statuses{m.Statuses()}, nil
}
