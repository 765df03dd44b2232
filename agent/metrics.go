package agent

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// declareMetrics makes what the libraries count appear from the start, as 0, rather than with the first event: an alarm
// cannot be set on what is not there.
func (a *Agent) declareMetrics() {
	names := []string{"memberlist.degraded.probe", "memberlist.degraded.timeout", "memberlist.msg.alive", "memberlist.msg.dead",
		"memberlist.msg.suspect", "memberlist.tcp.accept", "memberlist.tcp.connect", "memberlist.tcp.sent", "memberlist.udp.sent",
		"memberlist.udp.received", "serf.events", "serf.member.failed", "serf.member.flap", "serf.member.join", "serf.member.left"}
	if a.cfg.Server.Server {
		names = append(names, "raft.apply", "raft.restore", "raft.state.candidate", "raft.state.follower", "raft.state.leader",
			"raft.transition.heartbeat_timeout", "raft.transition.leader_lease_timeout")
		for _, name := range []string{"raft.rpc.installSnapshot", "raft.fsm.restore", "raft.fsm.snapshot", "raft.restoreUserSnapshot", "raft.rpc.requestVote"} {
			a.metrics.Sample(name)
		}
		a.metrics.Gauge("raft.fsm.lastRestoreDuration")
		if a.cfg.Raft.LogStore.Backend == "boltdb" {
			a.metrics.Sample("raft.boltdb.getLog")
		} else {
			names = append(names, "raft.wal.head_truncations", "raft.wal.tail_truncations", "raft.wal.segment_rotations",
				"raft.wal.log_entries_read", "raft.wal.log_entry_bytes_read")
			a.metrics.Gauge("raft.wal.last_segment_age_seconds")
		}
	}
	for _, name := range names {
		a.metrics.Counter(name)
	}
	for _, name := range []string{"memberlist.health.score", "memberlist.size.local", "memberlist.size.remote"} {
		a.metrics.Gauge(name)
	}
	for _, name := range []string{"memberlist.queue.broadcasts", "serf.snapshot.appendLine", "serf.snapshot.compact"} {
		a.metrics.Sample(name)
	}
}

// A countedListener counts what it accepts.
type countedListener struct {
	net.Listener
	count *telemetry.Counter
}

func counted(l net.Listener, count *telemetry.Counter) net.Listener { return countedListener{l, count} }

// Accept implements net.Listener.
func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.count.Inc()
	}
	return conn, err
}

// callCounts count the calls that a server answers.
type callCounts struct {
	requests, failed *telemetry.Counter
	took             *telemetry.Samples // hidden unless prefix_filter asks for it
}

func newCallCounts(r *telemetry.Registry) *callCounts {
	return &callCounts{r.Counter("rpc.request"), r.Counter("rpc.request_error"),
		r.Samples("rpc.server.call", "method", "errored", "request_type", "rpc_type", "leader")}
}

// called notes how long a call took on this server. Kind is how it came.
func (s *server) called(method, kind string, begun time.Time, err *error) {
	what := s.requestType(method)
	if what == "unreported" {
		method = what // whatever a stranger made up
	}
	s.count.took.With(method, strconv.FormatBool(*err != nil), what, kind, strconv.FormatBool(s.node.Leads())).Since(begun)
}

// requestType tells whether a method reads or writes.
func (s *server) requestType(method string) string {
	kind, ok := s.registry.Traits(method)
	switch {
	case method == fetchMethod || ok && (kind.Anywhere || kind.Repeatable):
		return "read"
	case ok:
		return "write"
	}
	return "unreported"
}

// answering is a server that counts the calls of other agents.
type answering struct{ *server }

// Answer implements rpc.Handler.
func (s *answering) Answer(ctx context.Context, r *rpc.Request) (reply []byte, err error) {
	defer s.called(r.Method, "net/rpc", time.Now(), &err)
	reply, err = s.server.Answer(ctx, r)
	s.counted(ctx, err)
	return reply, err
}

// Stream implements rpc.Handler.
func (s *answering) Stream(ctx context.Context, r *rpc.Request, send func([]byte) error) error {
	err := s.server.Stream(ctx, r, send)
	s.counted(ctx, err)
	return err
}

// Transfer implements rpc.Handler.
func (s *answering) Transfer(ctx context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
	err := s.server.Transfer(ctx, r, body, reply)
	s.counted(ctx, err)
	return err
}

// counted counts a call that has ended. That its caller has gone is no error.
func (s *answering) counted(ctx context.Context, err error) {
	s.count.requests.Inc()
	if err != nil && ctx.Err() == nil {
		s.count.failed.Inc()
	}
}

// stateGauges tell how much is in the replicated state. To count it takes a while where there is much of it, so that it is
// counted again only when it has changed, and for a hundredth of the time at most.
type stateGauges struct {
	db         *state.DB
	datacenter string

	mu    sync.Mutex // guards what follows
	usage catalog.Usage
	keys  int
	index uint64    // of what was counted; 0 if nothing was
	again time.Time // when it may be counted again
}

func (g *stateGauges) collect(emit telemetry.Emit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(time.Now())
	dc := telemetry.Label{Name: "datacenter", Value: g.datacenter}
	emit("state.nodes", float64(g.usage.Nodes), dc)
	emit("state.services", float64(g.usage.Services), dc)
	emit("state.service_instances", float64(g.usage.ServiceInstances), dc)
	emit("state.kv_entries", float64(g.keys), dc)
	for kind, n := range g.usage.ConnectServiceInstances {
		emit("state.connect_instances", float64(n), dc, telemetry.Label{Name: "kind", Value: kind})
	}
}

// count counts anew where that is due. The caller holds mu.
func (g *stateGauges) count(now time.Time) {
	tx := g.db.Read().Unwatched()
	index := max(tx.Changed(kv.Entries.Name()), catalog.Changed(tx), 1)
	if index == g.index || now.Before(g.again) {
		return
	}
	usage, _, err := new(catalog.Service).Usage(tx, acl.AllowAll(), new(catalog.Count))
	if err != nil {
		return
	}
	g.usage, g.index, g.keys = usage, index, 0
	for range kv.Entries.All(tx) {
		g.keys++
	}
	end := time.Now()
	g.again = end.Add(100 * end.Sub(now))
}
