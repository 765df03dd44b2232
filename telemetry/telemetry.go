// Package telemetry counts and times what the agent does and hands it out: as Prometheus text, as Consul's JSON of ten
// second intervals, once or as a stream, and to statsd, statsite and dogstatsd.
//
// It knows names, labels and numbers. It knows nothing of HTTP routes, configuration files or of what is measured:
// other packages ask a Registry for handles once and use them on their hot paths. All numbers are cumulative and
// atomic; whoever reads them keeps what it saw before and works with the difference, so that readers never disturb
// writers or one another.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Interval is the length of the intervals of the JSON form.
	Interval = 10 * time.Second

	// seriesPerName bounds the label sets of one name: those that come later share one series, whose label values
	// are all Overflow.
	seriesPerName = 256

	// seriesInAll bounds all series of one kind together, as libraries may form names from what they meet.
	seriesInAll = 4096
)

// Overflow is the label value of the series that counts what came after the bound on label sets was reached.
const Overflow = "other"

// Config says what a Registry does. DefaultConfig has the values for keys that are absent from a configuration file.
type Config struct {
	// Prefix (metrics_prefix) is the first part of each name. Empty means "consul".
	Prefix string
	// DisableHostname (disable_hostname) leaves the host's name out of the names of gauges.
	DisableHostname bool
	// Hostname is the host's name; empty means what the operating system says.
	Hostname string
	// FilterDefault (filter_default) is whether names that no rule of PrefixFilter matches are shown.
	FilterDefault bool
	// PrefixFilter (prefix_filter) holds prefixes of whole names after a + (show) or a - (hide); the longest wins.
	PrefixFilter []string

	// StatsdAddress, StatsiteAddress and DogstatsdAddr are host:port of collectors that numbers are pushed to, over
	// UDP, TCP and UDP; DogstatsdAddr may also be unix:///path. Empty means none.
	StatsdAddress   string
	StatsiteAddress string
	DogstatsdAddr   string
	// DogstatsdTags (dogstatsd_tags) are sent with each line to DogstatsdAddr, as "key:value".
	DogstatsdTags []string
	// RetryFailedConnection (retry_failed_connection) lets Start succeed while a collector cannot be reached.
	RetryFailedConnection bool

	// PrometheusRetention (prometheus_retention_time) changes nothing in what is kept: the Prometheus form is always
	// on. When it is set, the form carries the host's name in gauges as Consul's does.
	PrometheusRetention time.Duration
	// EnableHostMetrics (enable_host_metrics) adds gauges of the host's memory, CPU, disk and uptime.
	EnableHostMetrics bool
	// HostDisk is the path whose file system EnableHostMetrics looks at. Empty means "/".
	HostDisk string

	// Log takes complaints about collectors. Nil means none.
	Log *slog.Logger
}

// DefaultConfig returns the values that hold where a configuration says nothing.
func DefaultConfig() Config {
	return Config{Prefix: "consul", FilterDefault: true, RetryFailedConnection: true}
}

// Registry holds all series of one agent. A nil Registry gives nil handles, whose methods do nothing, so that a package
// may be used without telemetry.
type Registry struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	filter  atomic.Pointer[filter]

	counters store[Counter]
	gauges   store[Gauge]
	samples  store[Sample]

	// collectMu guards collectors, which only grows.
	collectMu  sync.Mutex
	collectors []func(Emit)

	exposition *exposition
	installed  *installation

	// intervalMu guards what the turn of an interval changes: rolled, turned and the finished intervals of each series.
	intervalMu sync.Mutex
	rolled     time.Time
	turned     chan struct{}

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns a Registry with the gauges of the runtime (and of the host, if configured) in it. It fails on a rule of
// PrefixFilter that has no sign. Start makes intervals turn and pushes flow.
func New(cfg Config) (*Registry, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "consul"
	}
	if cfg.HostDisk == "" {
		cfg.HostDisk = "/"
	}
	if err := fillHostname(&cfg); err != nil {
		return nil, err
	}
	r := &Registry{cfg: cfg, log: cfg.Log, started: time.Now(), turned: make(chan struct{})}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.counters.make = func(id identity) *Counter { return &Counter{identity: id} }
	r.gauges.make = func(id identity) *Gauge { return &Gauge{identity: id} }
	r.samples.make = newSample
	if err := r.SetFilter(cfg.FilterDefault, cfg.PrefixFilter); err != nil {
		return nil, err
	}
	r.exposition = newExposition(r)
	r.Collect(newRuntimeStats(r.Sample("runtime.gc_pause_ns")).collect)
	if cfg.EnableHostMetrics {
		r.Collect(newHostStats(cfg.HostDisk).collect)
	}
	return r, nil
}

func fillHostname(cfg *Config) error {
	if cfg.DisableHostname || cfg.Hostname != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	cfg.Hostname = name
	return nil
}

// Start begins to turn intervals and to push to the configured collectors. It fails only if a collector cannot be
// reached and RetryFailedConnection is off.
func (r *Registry) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := newPusher(ctx, r)
	if err != nil {
		cancel()
		return err
	}
	r.stop = cancel
	r.done.Go(func() { r.turnIntervals(ctx) })
	if p != nil {
		r.done.Go(func() { p.run(ctx) })
	}
	return nil
}

// Stop ends what Start began, waits for it, and withdraws what Install installed. Handles stay usable. It may be called
// twice, and without Start.
func (r *Registry) Stop() {
	if r.stop != nil {
		r.stop()
	}
	r.done.Wait()
	r.uninstall()
}

// SetFilter replaces the rules for what is shown, as a reload of the configuration does.
func (r *Registry) SetFilter(byDefault bool, rules []string) error {
	f, err := newFilter(byDefault, rules, r.cfg.Prefix)
	if err != nil {
		return err
	}
	r.filter.Store(f)
	return nil
}
