package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/time/rate"

	"lictor/acl"
	"lictor/agent/logging"
	"lictor/ca"
	"lictor/catalog"
	"lictor/config"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/kv"
	prepared "lictor/query"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
	"lictor/view"
)

// A server is what an agent in server mode adds: its part of the replicated state and what answers from it.
type server struct {
	agent      *Agent
	node       *raftstore.Node
	services   *services
	registry   rpc.Registry[acl.Authorizer]
	members    chan gossip.Event // what the leader's duties have to look at
	opened     chan struct{}     // closed once all that the leader's duties use is there
	count      *callCounts
	voters     voters
	federation *federation
	acls       copying
	entries    copying
	promise    promise
	pacer      pacer
	gathered   time.Time // when all expected servers were there; belongs to startBootstrap
}

// openMux listens on the port that servers share between calls, Raft and, where it is asked for, gossip.
func (a *Agent) openMux() error {
	if !a.cfg.Server.Server {
		return nil
	}
	listener, err := a.network.Listen(a.cfg.Network.Endpoints.RPCBind)
	if err != nil {
		return portError("ports.server", err)
	}
	l := &a.cfg.Limits
	listener = counted(listener, a.metrics.Counter("rpc.accept_conn"))
	a.mux = rpc.NewMux(listener, a.id, a.log.With("module", "agent.rpc"), rpc.Limits{Handshake: l.RPCHandshake, MaxConnsPerClient: l.RPCMaxConns, Security: a.rpcSecurity()})
	a.cleanups.add(a.mux.Close)
	return nil
}

// openServer opens the replicated state, on servers, and what methods and queries go to.
func (a *Agent) openServer() error {
	if !a.cfg.Server.Server {
		return a.openClient()
	}
	mux, l := a.mux, &a.cfg.Limits
	introducer, err := a.newIntroducer()
	if err != nil {
		return err
	}
	s := &server{agent: a, members: make(chan gossip.Event, 1024), opened: make(chan struct{}), count: newCallCounts(a.metrics), voters: voters{turn: make(chan struct{}, 1)}}
	a.server = s
	s.pacer.set(&l.Requests)
	a.route = a.newRouter(s.leader)
	conf := a.raftConfig()
	conf.Listener = counted(mux.Protocol(rpc.ProtocolRaft), a.metrics.Counter("rpc.raft_handoff"))
	conf.AskLeader = s.readIndex
	calls := rpc.NewServer(rpc.ServerConfig{Calls: mux.Protocol(rpc.ProtocolCalls), Bulk: mux.Protocol(rpc.ProtocolBulk), Handler: &answering{s},
		Log: a.log.With("module", "agent.rpc"), Handshake: l.RPCHandshake, MaxArgs: maxArgs(l)})
	conf.Lead = func(ctx context.Context, ready func()) {
		select {
		case <-s.opened:
			s.lead(ctx, ready)
		case <-ctx.Done():
		}
	}
	if s.node, err = raftstore.Open(conf); err != nil {
		return err
	}
	a.cleanups.add(s.node.Stop)
	if a.resolve == nil {
		a.resolve = a.resolver(s.node)
	}
	s.services = a.newServices(s.node)
	s.services.methods(&s.registry)
	rpc.Handle(&s.registry, inviteMethod, s.invited)
	rpc.Handle(&s.registry, ca.IntroduceMethod, introducer.introduce)
	a.caller, a.snapshots = s, s
	s.openCopies()
	s.federation = newFederation(a)
	a.views = view.New(view.Config{Log: &held{s.node, s}, Source: s.federation, Counts: view.NewCounts(a.metrics, true), Resolve: a.resolve, Datacenter: a.cfg.Node.Datacenter,
		DefaultWait: a.cfg.Queries.DefaultTime, MaxWait: a.cfg.Queries.MaxTime})
	s.services.queries(a.views)
	view.Observe(a.views, catalog.ServiceNodesQuery, catalog.NewLookups(a.metrics).Count)
	a.metrics.Collect((&stateGauges{db: s.node.DB(), datacenter: a.cfg.Node.Datacenter}).collect)
	s.startBackupMetrics(a.metrics)
	a.metrics.Collect(s.services.replicaGauges)
	a.running.Go(func() { s.node.WatchLeader(a.ctx, a.route.roster.stir) })
	mux.Serve()
	calls.Serve()
	a.cleanups.add(func() error { calls.Stop(); return nil })
	a.cleanups.add(func() error { a.views.Stop(); return nil })
	return nil
}

// maxArgs bounds the arguments of a call so that what the configuration allows over HTTP can be sent on.
func maxArgs(l *config.Limits) int {
	return int(min(max(16<<20, 2*max(l.KVMaxValueSize, l.TxnMaxReqLen)), 1<<30))
}

// newRouter makes the way to the servers.
func (a *Agent) newRouter(leader func() (rpc.Target, bool)) *router {
	l := &a.cfg.Limits
	r := &router{roster: newRoster(a.id, a.distance), leader: leader, hold: a.cfg.Raft.Performance.RPCHoldTimeout, timeout: l.RPCClientTimeout, home: a.cfg.Node.Datacenter}
	r.count = routeCounts{a.metrics.Counter("client.rpc"), a.metrics.Counter("client.rpc.exceeded"), a.metrics.Counter("client.rpc.failed")}
	if !a.cfg.Server.Server && l.RPCRate >= 0 {
		r.limit = rate.NewLimiter(rate.Limit(l.RPCRate), l.RPCMaxBurst)
	}
	r.pool = rpc.NewPool(rpc.PoolConfig{Log: a.log.With("module", "agent.rpc"), Sentinels: sentinels,
		Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) {
			return a.dialServer(ctx, t.Datacenter, t.Address)
		}})
	a.cleanups.add(func() error { r.pool.Stop(); return nil })
	return r
}

// sentinels are the errors that are told from others by what they are.
var sentinels = []error{state.ErrNoLeader, state.ErrUncertain, state.ErrStopped, rpc.ErrNoDatacenter, errNoServers, errRate}

// distance is how far a member is from this agent, as far as that is known.
func (a *Agent) distance(name string) time.Duration {
	own, err := a.lan.Coordinate()
	if err != nil {
		return 0
	}
	other, ok := a.lan.CachedCoordinate(name)
	if !ok {
		return 0
	}
	from, to := coordinate.Coordinate(own), coordinate.Coordinate(other)
	return from.Distance(&to)
}

// A held log is what those see who read on this server: while there is no leader, they wait for one as long as
// rpc_hold_timeout says.
type held struct {
	*raftstore.Node
	server *server
}

// Fresh implements state.Log.
func (h *held) Fresh(ctx context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	meta, err := h.Node.Fresh(ctx, opts)
	if err == nil || opts.Consistency == state.Stale && opts.MaxStale == 0 || !noLeader(err) {
		return meta, err
	}
	here := func() (rpc.Target, bool) { return rpc.Target{ID: h.server.agent.id}, true }
	err = h.server.agent.route.deliver(ctx, here, true, func(ctx context.Context, _ rpc.Target) (err error) {
		meta, err = h.Node.Fresh(ctx, opts)
		return err
	})
	if noLeader(err) {
		err = h.server.leaderless()
	}
	return meta, err
}

func (a *Agent) raftConfig() raftstore.Config {
	r, pace := &a.cfg.Raft, &a.cfg.Internal.Consul
	scale := time.Duration(r.Performance.Multiplier)
	c := raftstore.Config{
		ID: a.id, Backend: r.LogStore.Backend, Advertise: net.TCPAddrFromAddrPort(a.cfg.Network.Endpoints.RPCAdvertise), Dial: a.dialRaft, AddressOf: a.serverAddress,
		Bootstrap:        a.cfg.Server.Bootstrap || a.cfg.Server.BootstrapExpect == 1,
		HeartbeatTimeout: scale * pace.HeartbeatTimeout, ElectionTimeout: scale * pace.ElectionTimeout, LeaseTimeout: scale * pace.LeaseTimeout,
		SnapshotThreshold: uint64(r.SnapshotThreshold), SnapshotInterval: r.SnapshotInterval, TrailingLogs: uint64(r.TrailingLogs),
		SegmentSize: r.LogStore.WAL.SegmentSizeMB << 20, NoFreelistSync: r.LogStore.BoltDB.NoFreelistSync,
		DisableLogCache: r.LogStore.DisableLogCache, PreVoteDisabled: r.PreVoteDisabled,
		Log: a.log.With("module", "agent.server"), RaftLog: logging.Hclog(a.log, "agent.server.raft"), Metrics: a.metrics,
		Delays: new(session.Delays), AtRest: &a.atRest,
	}
	if dir := a.dataDir(); dir != "" {
		c.Dir = filepath.Join(dir, "raft")
	}
	return c
}

// newServices makes what answers from the replicated state.
func (a *Agent) newServices(node *raftstore.Node) *services {
	log := &held{node, a.server}
	keys := kv.NewExpiry(node, a.log.With("module", "agent.server"))
	entries := &catalog.Service{Log: node, Datacenter: a.cfg.Node.Datacenter, Distance: coordinate.Distance, Gateways: configentry.Gateways{}}
	authority := &ca.Service{Log: node, Enabled: a.hasAuthority()}
	return &services{
		acl:        a.newAuthority(node),
		ca:         authority,
		signer:     ca.NewSigner(authority, a.cfg.Auto.Encrypt.AllowTLS, a.cfg.Node.Datacenter, a.cfg.DNS.Domain, a.cfg.DNS.AltDomain),
		catalog:    entries,
		coordinate: a.newCoordinates(node),
		event:      &event.Service{Broadcast: a.lan.UserEvent},
		gossip:     &gossip.Service{LAN: a.lan, WAN: a.wan, Datacenter: a.cfg.Node.Datacenter},
		kv:         &kv.Service{Log: node, Expiry: keys},
		replicas:   a.newReplicas(node),
		query: &prepared.Keeper{Log: node, Catalog: entries, Datacenter: a.cfg.Node.Datacenter, Remotes: otherDatacenters{a}, Resolve: a.captured(),
			Times: prepared.NewTimes(a.metrics)},
		raft: &raftstore.Service{Node: node, Members: a.servers, Ask: func(ctx context.Context, m raftstore.Member) (raftstore.LogStats, error) {
			return a.server.logStats(ctx, rpc.Target{ID: m.ID, Address: m.Address})
		}, Forget: a.forgetServer, NameOf: func(id string) string {
			for _, m := range a.lan.Members() {
				if m.Meta.ID == id {
					return m.Name
				}
			}
			return ""
		}},
		entry: &configentry.Service{Log: node, DenyCalls: a.deniesCalls()},
		session: &session.Service{Log: node, Delays: node.Delays, Expiry: session.NewExpiry(node, a.log.With("module", "agent.server"), a.metrics),
			Keys: keys, MinTTL: a.cfg.Queries.SessionTTLMin, Renewed: a.metrics.Sample("session.renew")},
		txn: &txn.Service{Log: log, Catalog: entries, Delays: node.Delays, Keys: keys, Reads: a.metrics.Sample("txn.read")},
	}
}

// deniesCalls tells what holds for calls in the mesh of which no intention speaks: what is configured, or else what holds
// for accesses of which no rule speaks.
func (a *Agent) deniesCalls() bool {
	if policy := a.cfg.Mesh.Intentions; policy != "" {
		return policy == "deny"
	}
	return a.cfg.ACL.Enabled && a.cfg.ACL.DefaultPolicy == "deny"
}

// newCoordinates makes what answers for the places of nodes, which are written in batches.
func (a *Agent) newCoordinates(node *raftstore.Node) *coordinate.Service {
	known := func(tx *state.Tx, name string) bool { return catalog.FindNode(tx, name) != nil }
	pace := &a.cfg.Internal.Consul
	batching := coordinate.Batching{Period: pace.UpdatePeriod, Size: pace.BatchSize, MaxBatches: pace.MaxBatches}
	report := func(err error) { a.log.Warn("places of nodes were not written", "error", err) }
	return &coordinate.Service{Log: node, Known: known, Datacenters: a.datacenters, Names: a.datacenterNames, Batcher: coordinate.NewBatcher(node, batching, known, report)}
}

// serverAddress is where gossip has last seen the server with this id.
func (a *Agent) serverAddress(id string) (string, bool) {
	t, ok := a.route.roster.find(id)
	return t.Address, ok
}

// Call implements rpc.Caller: in this process where this server can answer, else at the leader.
func (s *server) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	kind, _ := s.registry.Traits(method)
	if err := s.toPrimary(ctx, &h, method, args); err != nil {
		return err
	}
	if s.agent.route.abroad(h) {
		body, err := rpc.Append(nil, args)
		if err != nil {
			return err
		}
		answer, err := s.federation.call(ctx, h, method, body, kind)
		if err != nil {
			return err
		}
		return rpc.Decode(answer, reply)
	}
	if here := kind.Anywhere || h.Direct; here || s.node.Leads() {
		if err := s.dispatch(ctx, h, method, args, reply); here || !noLeader(err) {
			return err
		}
	}
	var body []byte
	return s.toLeader(ctx, kind, func(ctx context.Context, t rpc.Target) error {
		if t.ID == s.agent.id {
			return s.dispatch(ctx, h, method, args, reply)
		}
		if body == nil {
			var err error
			if body, err = rpc.Append(nil, args); err != nil {
				return err
			}
		}
		forward := h
		forward.Direct = true
		answer, err := s.agent.route.pool.Call(ctx, t, forward, method, body)
		if err != nil {
			return err
		}
		return rpc.Decode(answer, reply)
	})
}

// dispatch carries out a call on this server.
func (s *server) dispatch(ctx context.Context, h rpc.Header, method string, args, reply any) (err error) {
	defer s.called(method, "internal", time.Now(), &err)
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	return s.registry.Dispatch(ctx, az, method, args, reply)
}

// toLeader makes attempts at the leader, which may be this server.
func (s *server) toLeader(ctx context.Context, kind rpc.Traits, try attempt) error {
	err := s.agent.route.deliver(ctx, s.leader, kind.Repeatable, try)
	if noLeader(err) {
		return s.leaderless()
	}
	return err
}

// leader is the server that leads, at the address at which gossip knows it.
func (s *server) leader() (rpc.Target, bool) {
	address, id := s.node.Leader()
	if id == "" {
		return rpc.Target{}, false
	}
	if t, ok := s.agent.route.roster.find(id); ok {
		return t, true
	}
	return rpc.Target{ID: id, Address: address}, true
}

// Save implements httpapi.Snapshots.
func (s *server) Save(ctx context.Context, h rpc.Header, opts state.ReadOptions, w io.Writer, before func(uint64, state.ReadMeta)) error {
	if s.agent.route.abroad(h) {
		return s.federation.save(ctx, h, opts, w, before)
	}
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	return s.services.raft.Save(ctx, az, opts, w, before)
}

// Restore implements httpapi.Snapshots.
func (s *server) Restore(ctx context.Context, h rpc.Header, r io.Reader, report io.Writer) error {
	if s.agent.route.abroad(h) {
		return s.federation.restore(ctx, h, r, report)
	}
	if t, ok := s.leader(); !s.node.Leads() && !h.Direct && ok && t.ID != s.agent.id {
		h.Direct = true
		return s.agent.route.restore(ctx, s.leader, h, r, report)
	}
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	imported, err := s.services.raft.Restore(ctx, az, r)
	if err != nil {
		return err
	}
	s.changed(gossip.Event{Type: gossip.EventsLost})
	s.agent.local.ServersChanged()
	if imported == nil {
		return nil
	}
	s.agent.log.Warn("restored an archive that Consul has saved", "index", imported.Index, "taken_over", imported.TakenOver, "not_supported", imported.NotSupported)
	return json.NewEncoder(report).Encode(imported)
}

// dialRaft opens a connection to another server that speaks Raft, and to no other server that may have its address by now.
func (a *Agent) dialRaft(ctx context.Context, id, address string) (net.Conn, error) {
	conn, err := a.dialServer(ctx, "", address)
	if err != nil {
		return nil, err
	}
	return greet(ctx, conn, address, rpc.ProtocolRaft, id)
}

// greet says what a connection is for, in the time that ctx leaves, or closes it.
func greet(ctx context.Context, conn net.Conn, address string, protocol byte, id string) (net.Conn, error) {
	end, _ := ctx.Deadline()
	err := conn.SetDeadline(end)
	if err == nil {
		err = rpc.Greet(conn, protocol, id)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet %s: %w", address, err)
	}
	return conn, nil
}
