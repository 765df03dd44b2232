package agent

import (
	"context"
	"sync"
	"time"

	"lictor/ca"
	"lictor/gossip"
	"lictor/kv"
	"lictor/pace"
)

// A duty is what only the leader does, from the moment it leads until its context ends.
type duty struct {
	name string
	run  func(ctx context.Context)
}

// duties is THE list of what only the leader does.
func (s *server) duties() []duty {
	return []duty{
		{"reconcile members", s.reconcileMembers},
		{"announce the leader", s.announce},
		{"oversee the servers", s.oversee},
		{"reap tombstones", s.reapTombstones},
		{"write the places of nodes", s.services.coordinate.Batcher.Run},
		{"end sessions", s.services.session.Expiry.Run},
		{"remove expired tokens", s.services.acl.Reap},
		{"end keys", s.services.kv.Expiry.Run},
		{"make backups", s.backUp},
		{"copy ACLs", s.acls.Run},
		{"copy configuration entries", s.entries.Run},
		{"copy keys of other datacenters", s.services.replicas.Run},
	}
}

// lead prepares the state for its first clients, tells that this server leads, and runs the duties until the leadership
// ends.
func (s *server) lead(ctx context.Context, ready func()) {
	for s.establish(ctx) != nil {
		if pace.Rest(ctx, retryDuty) != nil {
			return
		}
	}
	ready()
	s.agent.route.roster.stir()
	s.agent.log.Info("this server leads the cluster")
	s.agent.local.ServersChanged()
	var all sync.WaitGroup
	for _, d := range s.duties() {
		all.Go(func() { d.run(ctx) })
	}
	all.Wait()
}

// retryDuty is the pause before something that failed is tried again.
const retryDuty = time.Second

// establish makes sure of what clients rely on as soon as there is a leader: the root certificate and the servers' own
// nodes in the catalog.
func (s *server) establish(ctx context.Context) error {
	a := s.agent
	if a.hasAuthority() {
		if err := ca.Ensure(ctx, s.node, a.clusterID(), time.Now()); err != nil {
			a.log.Error("failed to make the first root certificate", "error", err)
			return err
		}
	}
	if _, err := s.services.raft.EnsureCluster(ctx, newID); err != nil {
		a.log.Error("failed to give the cluster an id", "error", err)
		return err
	}
	if a.cfg.ACL.Enabled {
		if err := s.services.acl.Begin(ctx, a.cfg.ACL.Tokens.InitialManagement); err != nil {
			a.log.Error("failed to make the first policies and tokens", "error", err)
			return err
		}
	}
	if err := s.registerSelf(ctx); err != nil {
		a.log.Error("failed to register this server in the catalog", "error", err)
		return err
	}
	if err := s.services.raft.EnsureAutopilot(ctx, a.autopilot()); err != nil {
		a.log.Error("failed to store the configuration of autopilot", "error", err)
		return err
	}
	if a.primary() == "" {
		if err := s.services.entry.Ensure(ctx, a.cfg.Mesh.ConfigEntries.Bootstrap); err != nil { // it does not agree with what is there: not worth a cluster without a leader
			a.log.Error("failed to write a configuration entry of config_entries.bootstrap", "error", err)
		}
	}
	return a.saveKeyrings()
}

// clusterID is what the trust domain of a new cluster is made of.
func (a *Agent) clusterID() string {
	if id, ok := a.cfg.Mesh.Connect.CAConfig["cluster_id"].(string); ok && len(id) == 36 {
		return id
	}
	return newID()
}

// tombstoneAge is how long a deletion is remembered, Consul's default. Tombstones are looked at twice in that time.
const tombstoneAge = 15 * time.Minute

// reapTombstones forgets deletions that are older than tombstoneAge.
func (s *server) reapTombstones(ctx context.Context) {
	tick := time.NewTicker(tombstoneAge / 2)
	defer tick.Stop()
	took := s.agent.metrics.Sample("leader.reapTombstones")
	var old uint64 // the newest deletion at the tick before the last one
	last := s.newestTombstone()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if old > 0 {
			begun := time.Now()
			if _, err := s.node.Apply(ctx, &kv.ReapTombstones{UpTo: old}); err != nil {
				s.agent.log.Warn("failed to reap tombstones", "error", err)
				continue
			}
			took.Since(begun)
		}
		old, last = last, s.newestTombstone()
	}
}

// newestTombstone is the log index of the last deletion; 0 if none is remembered.
func (s *server) newestTombstone() uint64 {
	var newest uint64
	for t := range kv.Tombstones.All(s.node.DB().Read().Unwatched()) {
		newest = max(newest, t.Index)
	}
	return newest
}

// changed tells the duties of a change in the LAN pool. It does not block: what is dropped here is found by the next
// look at all members.
func (s *server) changed(e gossip.Event) {
	s.services.raft.MembersChanged()
	select {
	case s.members <- e:
	default:
	}
}
