package config

import "time"

// Internal is what nobody needs to set, but which files may hold: the pace of inner work and the build's version.
type Internal struct {
	SyncInterval      time.Duration `config:"ae_interval" debug:"AEInterval"`                                   // pause between full comparisons of the agent's services with the catalog
	DeregisterMin     time.Duration `config:"check_deregister_interval_min" debug:"CheckDeregisterIntervalMin"` // shortest deregister_critical_service_after
	ReapInterval      time.Duration `config:"check_reap_interval" debug:"CheckReapInterval"`                    // accepted; critical services are deregistered when their time is over
	Consul            Pace          `config:"consul"`
	Revision          string        `config:"revision" debug:"Revision"`                                      // accepted; the build knows
	SegmentLimit      int           `config:"segment_limit" debug:"SegmentLimit"`                             // network segments at most
	SegmentNameLimit  int           `config:"segment_name_limit" debug:"SegmentNameLimit"`                    // characters of a segment's name at most
	CoordinateMin     time.Duration `config:"sync_coordinate_interval_min" debug:"SyncCoordinateIntervalMin"` // shortest pause between two updates of the agent's coordinate
	CoordinateRate    float64       `config:"sync_coordinate_rate_target" debug:"SyncCoordinateRateTarget"`   // updates of coordinates a second in the whole cluster
	Version           string        `config:"version"`                                                        // accepted; the build knows
	VersionPrerelease string        `config:"version_prerelease" debug:"VersionPrerelease"`                   // accepted; the build knows
	VersionMetadata   string        `config:"version_metadata" debug:"VersionMetadata"`                       // accepted; the build knows
	BuildDate         time.Time     `config:"build_date"`                                                     // accepted; the build knows
}

// Pace is the pace of the leader's work and of Raft. With -dev it is quicker.
type Pace struct {
	BatchSize        int           `config:"update_batch_size" debug:"ConsulCoordinateUpdateBatchSize"`   // coordinates in one write
	MaxBatches       int           `config:"update_max_batches" debug:"ConsulCoordinateUpdateMaxBatches"` // writes of coordinates in one period
	UpdatePeriod     time.Duration `config:"update_period" debug:"ConsulCoordinateUpdatePeriod"`          // period in which coordinates are collected
	ElectionTimeout  time.Duration `config:"election_timeout" debug:"ConsulRaftElectionTimeout"`          // Raft's election time-out, before raft_multiplier
	HeartbeatTimeout time.Duration `config:"heartbeat_timeout" debug:"ConsulRaftHeartbeatTimeout"`        // Raft's heartbeat time-out, before raft_multiplier
	LeaseTimeout     time.Duration `config:"leader_lease_timeout" debug:"ConsulRaftLeaderLeaseTimeout"`   // Raft's leader lease, before raft_multiplier
	HealthInterval   time.Duration `config:"health_interval" debug:"ConsulServerHealthInterval"`          // pause between looks at the health of servers
}

func defaultInternal() Internal {
	return Internal{
		SyncInterval: time.Minute, DeregisterMin: time.Second, ReapInterval: 30 * time.Second, SegmentLimit: 64,
		SegmentNameLimit: 64, CoordinateMin: 15 * time.Second, CoordinateRate: 64,
		Consul: Pace{
			BatchSize: 128, MaxBatches: 5, UpdatePeriod: 5 * time.Second, ElectionTimeout: time.Second,
			HeartbeatTimeout: time.Second, LeaseTimeout: 500 * ms, HealthInterval: 2 * time.Second,
		},
	}
}
