package config

import "time"

// Paid is what Consul keeps for its paid edition. Files may hold it.
type Paid struct {
	Audit             Audit         `config:"audit"`
	Partition         string        `config:"partition"`                   // admin partition of this agent; only "" and "default"
	Segment           string        `config:"segment" debug:"SegmentName"` // network segment of this agent
	Segments          []Segment     `config:"segments" debug:"Segments"`   // network segments of this server
	LicensePath       string        `config:"license_path"`                // accepted; no licence is needed
	LicensePollBase   time.Duration `config:"license_poll_base_time"`      // accepted; no licence is needed
	LicensePollMax    time.Duration `config:"license_poll_max_time"`       // accepted; no licence is needed
	LicenseUpdateBase time.Duration `config:"license_update_base_time"`    // accepted; no licence is needed
	LicenseUpdateMax  time.Duration `config:"license_update_max_time"`     // accepted; no licence is needed
	Reporting         Reporting     `config:"reporting"`
}

// Audit is the log of who did what.
type Audit struct {
	Enabled bool           `config:"enabled"`     // write the log
	Sink    map[string]any `config:"sink"`        // where it is written to, by name
	RPC     bool           `config:"rpc_enabled"` // log calls between agents, too
}

// A Segment is a part of the LAN pool whose members do not reach those of others.
type Segment struct {
	Advertise string `config:"advertise" debug:"Advertise"`      // address that members are told
	Bind      string `config:"bind" debug:"Bind"`                // address to listen on
	Name      string `config:"name" debug:"Name"`                // name of the segment
	Port      int    `config:"port" debug:"Port"`                // port of its gossip
	RPC       bool   `config:"rpc_listener" debug:"RPCListener"` // listen for RPC on the segment's address, too
}

// Reporting is what is told to a licensor: nothing.
type Reporting struct {
	License ReportingLicense `config:"license"`
	WAL     WAL              `config:"wal"`
	BoltDB  BoltDB           `config:"boltdb"`
}

// ReportingLicense is accepted, and nothing is told.
type ReportingLicense struct {
	Enabled bool `config:"enabled"` // accepted; nothing is reported
}
