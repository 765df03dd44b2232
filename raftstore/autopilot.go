package raftstore

import (
	"context"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o autopilot_gen.go -tests=false -io=false

// An AutopilotConfig says how the leader looks after the other servers, as clients see it and as it is stored.
type AutopilotConfig struct {
	CleanupDeadServers      bool             // remove failed servers once a new one has come
	LastContactThreshold    catalog.Duration // how long a healthy server may be out of contact with the leader
	MaxTrailingLogs         uint64           // log entries that a healthy server may be behind the leader
	MinQuorum               uint             // servers below which none is removed
	ServerStabilizationTime catalog.Duration // how long a server must be healthy before it may vote
	RedundancyZoneTag       string           // key of node metadata
	DisableUpgradeMigration bool
	UpgradeVersionTag       string // key of node metadata
	CreateIndex             uint64
	ModifyIndex             uint64
}

// DefaultAutopilot is the configuration of a cluster that was not told anything else, and what is left out of a new
// one means.
func DefaultAutopilot() AutopilotConfig {
	return AutopilotConfig{CleanupDeadServers: true, LastContactThreshold: catalog.Duration(200 * time.Millisecond),
		MaxTrailingLogs: 250, ServerStabilizationTime: catalog.Duration(10 * time.Second)}
}

// autopilotTable has one row.
var autopilotTable = state.NewTable("autopilot-config", func(*AutopilotConfig) string { return state.Key("config") })

func autopilotOf(tx *state.Tx) *AutopilotConfig {
	return autopilotTable.Get(tx, state.Key("config"))
}

// A SetAutopilot replaces the configuration. It answers whether it did: with CAS, only if its ModifyIndex is Index,
// where 0 means that there is none yet.
type SetAutopilot struct {
	Config AutopilotConfig
	CAS    bool
	Index  uint64
}

// Apply answers a bool.
func (s *SetAutopilot) Apply(tx *state.Tx) (any, error) {
	old := autopilotOf(tx)
	var at uint64
	config := s.Config
	config.CreateIndex, config.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		at, config.CreateIndex = old.ModifyIndex, old.CreateIndex
	}
	if s.CAS && at != s.Index {
		return false, nil
	}
	autopilotTable.Insert(tx, &config)
	return true, nil
}

// The methods about autopilot's configuration.
var (
	AutopilotMethod    = rpc.Method[state.ReadOptions, AutopilotConfig]{Name: "Operator.AutopilotGetConfiguration", Anywhere: true, Repeatable: true}
	SetAutopilotMethod = rpc.Method[SetAutopilot, bool]{Name: "Operator.AutopilotSetConfiguration"}
)

// Autopilot answers the configuration.
func (s *Service) Autopilot(ctx context.Context, az acl.Authorizer, opts *state.ReadOptions) (AutopilotConfig, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return AutopilotConfig{}, err
	}
	config := DefaultAutopilot()
	_, err := state.Read(ctx, s.Node, *opts, func(tx *state.Tx) error {
		if have := autopilotOf(tx); have != nil {
			config = *have
		}
		return nil
	})
	return config, err
}

// SetAutopilot replaces the configuration, and answers whether it did.
func (s *Service) SetAutopilot(ctx context.Context, az acl.Authorizer, set *SetAutopilot) (bool, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Write); err != nil {
		return false, err
	}
	if set.Config.LastContactThreshold < 0 || set.Config.ServerStabilizationTime < 0 {
		return false, rpc.Errorf(rpc.Invalid, "LastContactThreshold and ServerStabilizationTime must not be negative")
	}
	answer, err := s.Node.Apply(ctx, set)
	if err != nil {
		return false, err
	}
	return answer.(bool), nil
}

// EnsureAutopilot stores the first configuration of a cluster, unless there is one: a duty of the leader.
func (s *Service) EnsureAutopilot(ctx context.Context, first AutopilotConfig) error {
	if autopilotOf(s.Node.DB().Read()) != nil {
		return nil
	}
	_, err := s.Node.Apply(ctx, &SetAutopilot{Config: first, CAS: true})
	return err
}
