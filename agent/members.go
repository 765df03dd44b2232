package agent

import (
	"context"
	"strconv"
	"time"

	"lictor/catalog"
	"lictor/gossip"
	"lictor/state"
)

// What the catalog says of members: the texts are Consul's.
const (
	serfCheckID    = "serfHealth"
	serfCheckName  = "Serf Health Status"
	serfAlive      = "Agent alive and reachable"
	serfFailed     = "Agent not live or unreachable"
	consulService  = "consul"
	reconcileEvery = time.Minute
)

// reconcileMembers keeps the catalog in line with the LAN pool: at once on a change, and as a whole every minute.
func (s *server) reconcileMembers(ctx context.Context) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	s.reconcileAll(ctx)
	for {
		select {
		case e := <-s.members:
			if e.Type == gossip.EventsLost {
				s.reconcileAll(ctx)
			} else {
				s.reconcile(ctx, e.Member, e.Type == gossip.MemberReap)
			}
		case <-tick.C:
			s.reconcileAll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reconcileAll looks at each member, and removes from the catalog those that gossip has forgotten.
func (s *server) reconcileAll(ctx context.Context) {
	defer s.agent.metrics.Sample("leader.reconcile").Since(time.Now())
	known := map[string]bool{s.agent.cfg.Node.Name: true} // the pool may not have started yet
	for _, m := range s.agent.lan.Members() {
		known[m.Name] = true
		s.reconcile(ctx, m, false)
	}
	tx := s.node.DB().Read().Unwatched()
	for n := range catalog.AllNodes(tx) {
		if !known[n.Node] && catalog.FindCheck(tx, n.Node, serfCheckID) != nil {
			s.forget(ctx, n.Node)
		}
	}
}

// reconcile brings the catalog in line with one member. Members that are not of this software are none of ours.
func (s *server) reconcile(ctx context.Context, m gossip.Member, gone bool) {
	if !m.Ours {
		return
	}
	defer s.agent.metrics.Sample("leader.reconcileMember").Since(time.Now())
	var err error
	switch {
	case gone || m.Status == gossip.StatusLeft:
		if m.Name != s.agent.cfg.Node.Name {
			s.forget(ctx, m.Name)
		}
		return
	case m.Status == gossip.StatusAlive:
		err = s.register(ctx, m, catalog.Passing, serfAlive)
	case m.Status == gossip.StatusFailed:
		err = s.register(ctx, m, catalog.Critical, serfFailed)
	}
	if err != nil && ctx.Err() == nil {
		s.agent.log.Warn("failed to bring a member into the catalog", "node", m.Name, "error", err)
	}
}

func (s *server) forget(ctx context.Context, node string) {
	if catalog.FindNode(s.node.DB().Read().Unwatched(), node) == nil {
		return
	}
	s.agent.log.Info("a member has left and goes from the catalog", "node", node)
	if _, err := s.node.Apply(ctx, &catalog.Deregister{Node: node}); err != nil && ctx.Err() == nil {
		s.agent.log.Warn("failed to remove a member from the catalog", "node", node, "error", err)
	}
}

// registerSelf writes this server's own node, so that it is there before anybody learns who leads.
func (s *server) registerSelf(ctx context.Context) error {
	a := s.agent
	r := a.selfRegistration()
	m := gossip.Member{Name: a.cfg.Node.Name, Addr: a.cfg.Network.Endpoints.Advertise, Meta: a.tags(), Ours: true,
		Versions: gossip.MemberVersions{ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2}}
	r.Checks = []*catalog.Check{serfCheck(m.Name, catalog.Passing, serfAlive)}
	r.Service = serverInstance(m)
	return s.write(ctx, r)
}

// register writes a member's node, its serfHealth and, for servers, the service consul, unless that is there already.
func (s *server) register(ctx context.Context, m gossip.Member, status, output string) error {
	tx := s.node.DB().Read().Unwatched()
	node := catalog.FindNode(tx, m.Name)
	r := &catalog.Register{Node: m.Name, ID: m.Meta.ID, Address: m.Addr.String(), Datacenter: m.Meta.Datacenter,
		Checks: []*catalog.Check{serfCheck(m.Name, status, output)}}
	if status == catalog.Passing && m.Meta.Server {
		r.Service = serverInstance(m)
	}
	if node != nil { // what the agent itself has said of its node stays
		r.TaggedAddresses, r.NodeMeta, r.Locality = node.TaggedAddresses, node.Meta, node.Locality
		have := catalog.FindCheck(tx, m.Name, serfCheckID)
		same := node.Address == r.Address && node.ID == r.ID && have != nil && have.Status == status
		if same && (r.Service == nil || sameServer(tx, m, r.Service)) {
			return nil
		}
	}
	if m.Name == s.agent.cfg.Node.Name {
		return s.registerSelf(ctx)
	}
	return s.write(ctx, r)
}

func sameServer(tx *state.Tx, m gossip.Member, want *catalog.Instance) bool {
	have := catalog.FindInstance(tx, m.Name, consulService)
	if have == nil || have.Port != want.Port || len(have.Meta) != len(want.Meta) {
		return false
	}
	for k, v := range want.Meta {
		if have.Meta[k] != v {
			return false
		}
	}
	return true
}

// write applies a registration of the leader's own.
func (s *server) write(ctx context.Context, r *catalog.Register) error {
	if r.Datacenter == "" {
		r.Datacenter = s.agent.cfg.Node.Datacenter
	}
	_, err := s.node.Apply(ctx, r)
	return err
}

func serfCheck(node, status, output string) *catalog.Check {
	return &catalog.Check{Node: node, CheckID: serfCheckID, Name: serfCheckName, Status: status, Output: output}
}

// serverInstance is the service consul of a server.
func serverInstance(m gossip.Member) *catalog.Instance {
	replica := strconv.FormatBool(m.Meta.ReadReplica)
	version, _, _ := cutBuild(m.Meta.Build)
	return &catalog.Instance{
		ID: consulService, Service: consulService, Port: m.Meta.Ports.Server, Tags: []string{}, Weights: &catalog.Weights{Passing: 1, Warning: 1},
		Meta: map[string]string{
			"grpc_port": strconv.Itoa(m.Meta.Ports.GRPC), "grpc_tls_port": strconv.Itoa(m.Meta.Ports.GRPCTLS),
			"non_voter": replica, "read_replica": replica, "raft_version": "3", "version": version,
			"serf_protocol_current": strconv.Itoa(int(m.Versions.ProtocolCur)),
			"serf_protocol_min":     strconv.Itoa(int(m.Versions.ProtocolMin)),
			"serf_protocol_max":     strconv.Itoa(int(m.Versions.ProtocolMax)),
		},
	}
}

// selfRegistration is this agent's node as the catalog should have it.
func (a *Agent) selfRegistration() *catalog.Register {
	n := a.node()
	return &catalog.Register{Datacenter: n.Datacenter, ID: n.ID, Node: n.Node, Address: n.Address,
		TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta, Locality: n.Locality}
}

// node is this agent's node as the catalog should have it.
func (a *Agent) node() *catalog.Node {
	meta := map[string]string{"consul-network-segment": a.cfg.Paid.Segment, "consul-version": a.Build.Version}
	said := a.described.Load()
	for k, v := range said.Meta {
		meta[k] = v
	}
	ends := &a.cfg.Network.Endpoints
	return &catalog.Node{ID: a.id, Node: a.cfg.Node.Name, Address: ends.Advertise.String(), Datacenter: a.cfg.Node.Datacenter,
		TaggedAddresses: ends.Tagged, Meta: meta, Locality: said.Locality}
}
