package agent

import (
	"context"
	"fmt"
	"time"

	"lictor/acl"
	"lictor/kvreplication"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/telemetry"
)

// newReplicas makes what copies keys from other datacenters: a duty of the leader.
func (a *Agent) newReplicas(node *raftstore.Node) *kvreplication.Manager {
	m := kvreplication.NewManager(kvreplication.Config{
		Log: node, Datacenter: a.cfg.Node.Datacenter, Resolve: a.resolve, Logger: a.log.With("module", "agent.server.kv-replication"),
		Stream: func(ctx context.Context, h rpc.Header, args []byte, deliver func([]byte) error) error {
			return a.server.federation.stream(ctx, h, kvreplication.FollowMethod, args, deliver)
		},
		Counts: kvreplication.Counts{Written: a.metrics.Counter("kv_replication.written"), Deleted: a.metrics.Counter("kv_replication.deleted"),
			Failures: a.metrics.Counter("kv_replication.failures")},
	})
	m.Configure(a.cfg.Replicate.Feeds())
	return m
}

// feed sends another datacenter the keys below a prefix and their changes.
func (s *server) feed(ctx context.Context, r *rpc.Request, send func([]byte) error) error {
	if err := s.pace(r, true); err != nil {
		return err
	}
	q := new(kvreplication.Follow)
	if err := rpc.Decode(r.Args, q); err != nil {
		return fmt.Errorf("a question that cannot be read: %w", err)
	}
	source := &kvreplication.Source{Log: &held{s.node, s}, Cluster: raftstore.ClusterID}
	rights := func(ctx context.Context) (acl.Authorizer, error) { return s.agent.resolve(ctx, r.Token) }
	return source.Follow(ctx, rights, q, func(p *kvreplication.Page) error {
		body, err := p.MarshalMsg(nil)
		if err != nil {
			return err
		}
		return send(body)
	})
}

// replicaGauges tell on the leader how far copies of keys are behind their sources.
func (s *services) replicaGauges(emit telemetry.Emit) {
	for _, r := range s.replicas.Statuses() {
		labels := []telemetry.Label{{Name: "datacenter", Value: r.Datacenter}, {Name: "source", Value: r.Source}, {Name: "destination", Value: r.Destination}}
		emit("kv_replication.source_index", float64(r.SourceIndex), labels...)
		emit("kv_replication.index", float64(r.Index), labels...)
		if r.Synced != nil {
			emit("kv_replication.behind_seconds", time.Since(*r.Synced).Seconds(), labels...)
		}
	}
}
