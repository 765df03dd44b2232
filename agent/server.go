package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lictor/acl"
	"lictor/agent/logging"
	"lictor/ca"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/kv"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
	"lictor/view"
)

// A server is what an agent in server mode adds: its part of the replicated state and what answers from it.
type server struct {
	agent    *Agent
	node     *raftstore.Node
	services *services
	registry rpc.Registry[acl.Authorizer]
	members  chan gossip.Event // what the leader's duties have to look at
	opened   chan struct{}     // closed once all that the leader's duties use is there
}

// openServer opens the replicated state, on servers, and what methods and queries go to.
func (a *Agent) openServer() error {
	if !a.cfg.Server.Server {
		return a.openClient()
	}
	ends := &a.cfg.Network.Endpoints
	listener, err := net.Listen("tcp", ends.RPCBind.String())
	if err != nil {
		return portError("ports.server", err)
	}
	mux := rpc.NewMux(listener, a.log.With("module", "agent.rpc"))
	a.cleanups.add(mux.Close)
	s := &server{agent: a, members: make(chan gossip.Event, 1024), opened: make(chan struct{})}
	a.server = s
	conf := a.raftConfig()
	conf.Listener = mux.Protocol(rpc.ProtocolRaft)
	mux.Serve()
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
	s.services = a.newServices(s.node)
	s.services.methods(&s.registry)
	a.caller = s
	a.views = view.New(view.Config{Log: s.node, Resolve: a.resolve, Datacenter: a.cfg.Node.Datacenter,
		DefaultWait: a.cfg.Queries.DefaultTime, MaxWait: a.cfg.Queries.MaxTime})
	a.cleanups.add(func() error { a.views.Stop(); return nil })
	s.services.queries(a.views)
	return nil
}

func (a *Agent) raftConfig() raftstore.Config {
	r, pace := &a.cfg.Raft, &a.cfg.Internal.Consul
	scale := time.Duration(r.Performance.Multiplier)
	c := raftstore.Config{
		ID: a.id, Backend: r.LogStore.Backend, Advertise: net.TCPAddrFromAddrPort(a.cfg.Network.Endpoints.RPCAdvertise), Dial: dialRaft,
		Bootstrap:        a.cfg.Server.Bootstrap || a.cfg.Server.BootstrapExpect == 1,
		HeartbeatTimeout: scale * pace.HeartbeatTimeout, ElectionTimeout: scale * pace.ElectionTimeout, LeaseTimeout: scale * pace.LeaseTimeout,
		SnapshotThreshold: uint64(r.SnapshotThreshold), SnapshotInterval: r.SnapshotInterval, TrailingLogs: uint64(r.TrailingLogs),
		SegmentSize: r.LogStore.WAL.SegmentSizeMB << 20, NoFreelistSync: r.LogStore.BoltDB.NoFreelistSync,
		DisableLogCache: r.LogStore.DisableLogCache, PreVoteDisabled: r.PreVoteDisabled,
		Log: a.log.With("module", "agent.server"), RaftLog: logging.Hclog(a.log, "agent.server.raft"), Metrics: a.metrics,
		Delays: new(session.Delays),
	}
	if dir := a.dataDir(); dir != "" {
		c.Dir = filepath.Join(dir, "raft")
	}
	return c
}

// newServices makes what answers from the replicated state.
func (a *Agent) newServices(node *raftstore.Node) *services {
	entries := &catalog.Service{Log: node, Datacenter: a.cfg.Node.Datacenter, Distance: coordinate.Distance}
	return &services{
		ca:      &ca.Service{Log: node, Enabled: a.cfg.Mesh.Connect.Enabled},
		catalog: entries,
		coordinate: &coordinate.Service{Log: node, Known: func(tx *state.Tx, name string) bool { return catalog.FindNode(tx, name) != nil },
			Datacenters: a.datacenters},
		event:  &event.Service{Broadcast: a.lan.UserEvent},
		gossip: &gossip.Service{LAN: a.lan, WAN: a.wan, Datacenter: a.cfg.Node.Datacenter},
		kv:     &kv.Service{Log: node},
		raft: &raftstore.Service{Node: node, Members: a.servers, NameOf: func(id string) string {
			for _, m := range a.lan.Members() {
				if m.Meta.ID == id {
					return m.Name
				}
			}
			return ""
		}},
		session: &session.Service{Log: node, Delays: node.Delays, Expiry: session.NewExpiry(node, a.log.With("module", "agent.server")),
			MinTTL: a.cfg.Queries.SessionTTLMin},
		txn: &txn.Service{Log: node, Catalog: entries, Delays: node.Delays},
	}
}

// datacenters tells where the servers of each datacenter are in the space of the WAN.
func (a *Agent) datacenters() []coordinate.Datacenter {
	byName := map[string]*coordinate.Datacenter{}
	var names []string
	if a.wan == nil {
		return nil
	}
	for _, m := range a.wan.Members() {
		if !m.Ours {
			continue
		}
		dc := byName[m.Meta.Datacenter]
		if dc == nil {
			dc = &coordinate.Datacenter{Datacenter: m.Meta.Datacenter, AreaID: "wan"}
			byName[m.Meta.Datacenter], names = dc, append(names, m.Meta.Datacenter)
		}
		if place, ok := a.wan.CachedCoordinate(m.Name); ok {
			name := strings.TrimSuffix(m.Name, "."+m.Meta.Datacenter)
			c := coordinate.Coordinate(place)
			dc.Coordinates = append(dc.Coordinates, coordinate.Entry{Node: name, Coord: &c})
		}
	}
	slices.Sort(names)
	var all []coordinate.Datacenter
	for _, name := range names {
		all = append(all, *byName[name])
	}
	return all
}

// allowAll finds what a token may do. There are no ACLs yet: everybody may do everything.
func allowAll(context.Context, string) (acl.Authorizer, error) { return acl.AllowAll(), nil }

// Call implements rpc.Caller: the methods of this server, in this process.
func (s *server) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	if h.Datacenter != "" && h.Datacenter != s.agent.cfg.Node.Datacenter {
		return rpc.ErrNoDatacenter
	}
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	return s.registry.Dispatch(ctx, az, method, args, reply)
}

// Save implements httpapi.Snapshots.
func (s *server) Save(ctx context.Context, h rpc.Header, opts state.ReadOptions, w io.Writer, before func(uint64, state.ReadMeta)) error {
	if h.Datacenter != "" && h.Datacenter != s.agent.cfg.Node.Datacenter {
		return rpc.ErrNoDatacenter
	}
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	return s.services.raft.Save(ctx, az, opts, w, before)
}

// Restore implements httpapi.Snapshots.
func (s *server) Restore(ctx context.Context, h rpc.Header, r io.Reader) error {
	if h.Datacenter != "" && h.Datacenter != s.agent.cfg.Node.Datacenter {
		return rpc.ErrNoDatacenter
	}
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	if err := s.services.raft.Restore(ctx, az, r); err != nil {
		return err
	}
	s.changed(gossip.Event{Type: gossip.EventsLost})
	s.agent.local.ServersChanged()
	return nil
}

// dialRaft opens a connection to another server that speaks Raft.
func dialRaft(address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{rpc.ProtocolRaft}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet %s: %w", address, err)
	}
	return conn, nil
}
