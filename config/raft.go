package config

import "time"

// Raft is how servers keep their log, and how patient they are.
type Raft struct {
	Performance       Performance   `config:"performance"`
	LogStore          LogStore      `config:"raft_logstore"`
	Protocol          int           `config:"raft_protocol" debug:"RaftProtocol"`                    // version of the Raft protocol; only 3
	SnapshotThreshold int           `config:"raft_snapshot_threshold" debug:"RaftSnapshotThreshold"` // log entries after which a snapshot is taken
	SnapshotInterval  time.Duration `config:"raft_snapshot_interval" debug:"RaftSnapshotInterval"`   // how often to look whether a snapshot is due
	TrailingLogs      int           `config:"raft_trailing_logs" debug:"RaftTrailingLogs"`           // log entries that are kept after a snapshot
	PreVoteDisabled   bool          `config:"raft_prevote_disabled" debug:"RaftPreVoteDisabled"`     // stand for election without asking first
}

// Performance is how patient servers are with each other.
type Performance struct {
	Multiplier        int           `config:"raft_multiplier" debug:"PerformanceRaftMultiplier"`        // factor of Raft's time-outs, 1 to 10
	LeaveDrainTime    time.Duration `config:"leave_drain_time" debug:"LeaveDrainTime"`                  // how long a leaving agent still answers
	RPCHoldTimeout    time.Duration `config:"rpc_hold_timeout" debug:"RPCHoldTimeout"`                  // how long a call is tried again while there is no leader
	KeepaliveInterval time.Duration `config:"grpc_keepalive_interval" debug:"GRPCKeepaliveInterval"`    // pause between keepalives of gRPC connections
	KeepaliveTimeout  time.Duration `config:"grpc_keepalive_timeout" debug:"GRPCKeepaliveTimeout"`      // how long a gRPC keepalive waits for its answer
	BalanceXDS        bool          `config:"enable_xds_load_balancing" debug:"EnableXDSLoadBalancing"` // spread proxies evenly over servers
}

// LogStore is where Raft's log is kept.
type LogStore struct {
	Backend         string       `config:"backend" debug:"Backend"`                   // "wal" or "boltdb"
	DisableLogCache bool         `config:"disable_log_cache" debug:"DisableLogCache"` // read log entries from disk always
	Verification    Verification `config:"verification" debug:"Verification"`
	BoltDB          BoltDB       `config:"boltdb" debug:"BoltDB"`
	WAL             WAL          `config:"wal" debug:"WAL"`
}

// Verification checks the log of followers against the leader's.
type Verification struct {
	Enabled  bool          `config:"enabled" debug:"Enabled"`   // compare checksums of the log between servers
	Interval time.Duration `config:"interval" debug:"Interval"` // how often to compare
}

// BoltDB tunes the log in BoltDB.
type BoltDB struct {
	NoFreelistSync bool `config:"no_freelist_sync" debug:"NoFreelistSync"` // do not write the list of free pages to disk
}

// WAL tunes the write-ahead log.
type WAL struct {
	SegmentSizeMB int `config:"segment_size_mb" debug:"SegmentSizeMB"` // size of one file of the log, in MiB
}

func defaultRaft() Raft {
	return Raft{
		Performance: Performance{
			Multiplier: 5, LeaveDrainTime: 5 * time.Second, RPCHoldTimeout: 7 * time.Second,
			KeepaliveInterval: 30 * time.Second, KeepaliveTimeout: 20 * time.Second,
		},
		LogStore:          LogStore{Backend: "wal", Verification: Verification{Interval: time.Minute}, WAL: WAL{SegmentSizeMB: 64}},
		Protocol:          3,
		SnapshotThreshold: 16384,
		SnapshotInterval:  30 * time.Second,
		TrailingLogs:      10240,
	}
}

func (c *Raft) check(r *report) {
	if m := c.Performance.Multiplier; m < 1 || m > 10 {
		r.refuse("performance.raft_multiplier", "is %d, but must be from 1 to 10", m)
	}
	r.notNegative("performance.leave_drain_time", c.Performance.LeaveDrainTime)
	r.notNegative("performance.rpc_hold_timeout", c.Performance.RPCHoldTimeout)
	r.notNegative("performance.grpc_keepalive_interval", c.Performance.KeepaliveInterval)
	r.notNegative("performance.grpc_keepalive_timeout", c.Performance.KeepaliveTimeout)
	if c.Protocol != 3 {
		r.refuse("raft_protocol", "is %d, but only 3 is supported", c.Protocol)
	}
	atLeast(r, "raft_snapshot_threshold", c.SnapshotThreshold, 0)
	atLeast(r, "raft_trailing_logs", c.TrailingLogs, 0)
	r.positive("raft_snapshot_interval", c.SnapshotInterval)
	if c.LogStore.Backend == "default" {
		c.LogStore.Backend = "wal"
	}
	r.oneOf("raft_logstore.backend", c.LogStore.Backend, "wal", "boltdb")
	r.notNegative("raft_logstore.verification.interval", c.LogStore.Verification.Interval)
	if mb := c.LogStore.WAL.SegmentSizeMB; mb < 1 || mb > 1024 {
		r.refuse("raft_logstore.wal.segment_size_mb", "is %d, but must be from 1 to 1024", mb)
	}
}
