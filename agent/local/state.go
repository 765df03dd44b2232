// Package local knows what is registered on this agent: services, checks and maintenance, where each came from, and what
// of it the catalog has. It keeps registrations in the data directory and brings the catalog of this node in line with
// them (anti-entropy). It does not know how checks are run, nor how the servers are reached.
package local

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"lictor/atrest"
	"lictor/catalog"
	"lictor/health"
	"lictor/rpc"
)

// Tokens are the agent's own secrets.
type Tokens struct {
	Agent   string // for the agent's own business: the node, and what it removes
	Default string // for what was registered without a token
	// ConfigFile is for what files define without a token, in place of Default.
	ConfigFile string
}

// Config configures a State. Node, Catalog and Log are required.
type Config struct {
	Node    *catalog.Node // this agent's node, as the catalog should have it
	Server  bool          // this agent is a server: the service consul is not its own to remove
	DataDir string        // where registrations are kept; "" keeps nothing
	AtRest  *atrest.Ring  // encrypts them; nil does not
	Catalog Catalog
	// Health says how checks are run. Its Alias is asked about other nodes only; Reap is the State's own.
	Health   health.Config
	Runner   Runner        // runs checks instead of a scheduler as Health says, for tests
	Settings Settings      // at the start; see Reload
	Tokens   func() Tokens // nil has none
	// ClusterSize tells how many members the cluster has, nil means 1: large ones sync more rarely.
	ClusterSize  func() int
	SyncInterval time.Duration // between full syncs in a small cluster; 0 means a minute
	SidecarPorts PortRange     // of sidecars that name none; zero means 21000 to 21255
	MaxOutput    int           // of a check, in bytes; 0 means 4096
	Definitions  Definitions   // at the start; see Reload
	Log          *slog.Logger
}

// Definitions are the services and checks that the configuration defines.
type Definitions struct {
	Services []*catalog.ServiceDefinition
	Checks   []*catalog.CheckDefinition
}

// Settings are what a reload may change.
type Settings struct {
	// CheckUpdateInterval is for how long a change of a check's output alone is held back; 0 writes it at once.
	CheckUpdateInterval time.Duration
	DiscardCheckOutput  bool // keep and write no output at all
}

// A PortRange is a range of ports with both its ends.
type PortRange struct{ Min, Max int }

// A Runner runs checks, as health.Scheduler does.
type Runner interface {
	// Allowed tells why a check must not be registered: remote says that it came over HTTP.
	Allowed(d *catalog.CheckDefinition, remote bool) error
	// Add runs a check from now on, in the place of the one with its id.
	Add(c health.Check) error
	// Remove ends a check. A report may still come.
	Remove(id string)
	// SetTTL reports the state of a TTL check, and fails if there is none with that id.
	SetTTL(id, status, output string) error
}

// A State is what is registered on one agent. It may be used from any goroutine.
type State struct {
	Config
	disk      store
	scheduler *health.Scheduler // nil with another Runner

	registering sync.Mutex // orders registrations, so that disk, runner and table agree; taken before mu

	mu       sync.Mutex // guards what follows, and the entries in the table
	table    *table
	settings Settings
	stopped  bool

	syncer  *syncer
	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

// New makes a State with what the configuration defines and what the data directory holds. It fails if the data
// directory cannot be read, or if a definition is wrong.
func New(c Config) (*State, error) {
	if c.Tokens == nil {
		c.Tokens = func() Tokens { return Tokens{} }
	}
	if c.ClusterSize == nil {
		c.ClusterSize = func() int { return 1 }
	}
	if c.SyncInterval == 0 {
		c.SyncInterval = time.Minute
	}
	if c.SidecarPorts == (PortRange{}) {
		c.SidecarPorts = PortRange{21000, 21255}
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = 4096
	}
	s := &State{
		Config: c, disk: store{c.DataDir, c.Log, c.AtRest}, table: newTable(c.Node, c.Server),
		settings: c.Settings,
	}
	s.syncer = newSyncer(s)
	if s.Runner == nil {
		s.scheduler = s.newScheduler()
		s.Runner = s.scheduler
	}
	if err := s.disk.open(); err != nil {
		return nil, err
	}
	s.registering.Lock()
	err := loader{s}.load(c.Definitions)
	s.registering.Unlock()
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *State) newScheduler() *health.Scheduler {
	c := s.Health
	c.Alias, c.Reap = s, s.Reap
	return health.New(c)
}

// Reseal brings all files that keep registrations under the key that writes now.
func (s *State) Reseal() error {
	if s.DataDir == "" {
		return nil
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	files, err := s.disk.files()
	for _, path := range files {
		err = errors.Join(err, s.AtRest.Reseal(path))
	}
	return err
}

// Files lists the files that keep registrations.
func (s *State) Files() ([]string, error) {
	if s.DataDir == "" {
		return nil, nil
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	return s.disk.files()
}

// Services lists what is registered, by id. The rows are shared and must not be changed.
func (s *State) Services() map[string]*catalog.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make(map[string]*catalog.Instance, len(s.table.services))
	for id, e := range s.table.services {
		if !e.gone {
			rows[id] = e.row
		}
	}
	return rows
}

// Service finds a service, and a channel that is closed when it changes or goes; nil if it is not registered.
func (s *State) Service(id string) (row *catalog.Instance, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.table.service(id); e != nil {
		return e.row, e.changed
	}
	return nil, nil
}

// Checks lists what is registered, by id. The rows are shared and must not be changed.
func (s *State) Checks() map[string]*catalog.Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make(map[string]*catalog.Check, len(s.table.checks))
	for id, e := range s.table.checks {
		if !e.gone {
			rows[id] = e.row
		}
	}
	return rows
}

// CheckRow finds a check; nil if it is not registered. The row is shared and must not be changed.
func (s *State) CheckRow(id string) *catalog.Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.table.check(id); e != nil {
		return e.row
	}
	return nil
}

// UnknownService is the error of an operation on a service that is not registered here.
func UnknownService(id string) error {
	return rpc.Errorf(rpc.NotFound, "Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)
}

// UnknownCheck is the error of an operation on a check that is not registered here.
func UnknownCheck(id string) error {
	return rpc.Errorf(rpc.NotFound, "Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// signal leaves a token in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
