package raftstore

import (
	"context"

	"lictor/state"
)

//go:generate go tool msgp -o identity_gen.go -tests=false -io=false

// A Cluster is what the servers of one cluster have in common.
type Cluster struct {
	ID string // which keeps the agents of two clusters from taking each other for their own
}

// clusterTable has one row, once the first leader has named the cluster.
var clusterTable = state.NewTable("cluster", func(*Cluster) string { return state.Key("cluster") })

// ClusterID is the cluster's id, or "" before it has one.
func ClusterID(tx *state.Tx) string {
	if c := clusterTable.Get(tx, state.Key("cluster")); c != nil {
		return c.ID
	}
	return ""
}

// A NameCluster gives the cluster its id, unless it has one. It answers the id that the cluster has then.
type NameCluster struct {
	ID string
}

// Apply answers a string.
func (c *NameCluster) Apply(tx *state.Tx) (any, error) {
	if id := ClusterID(tx); id != "" {
		return id, nil
	}
	clusterTable.Insert(tx, &Cluster{ID: c.ID})
	return c.ID, nil
}

// EnsureCluster gives the cluster an id, made by newID, unless it has one, and returns the one that it has: a duty of
// the leader.
func (s *Service) EnsureCluster(ctx context.Context, newID func() string) (string, error) {
	if id := ClusterID(s.Node.DB().Read().Unwatched()); id != "" {
		return id, nil
	}
	id, err := s.Node.Apply(ctx, &NameCluster{ID: newID()})
	if err != nil {
		return "", err
	}
	return id.(string), nil
}

// A Begin is the first entry that each leader writes, and changes nothing: once it is applied, so is all that was
// committed before. Raft's own first entry, and its barrier, never reach the state machine, so that nobody could wait
// until a follower has come that far.
type Begin struct {
	Leader string // its id, for who reads the log
}

// Apply changes nothing.
func (*Begin) Apply(*state.Tx) (any, error) { return nil, nil }
