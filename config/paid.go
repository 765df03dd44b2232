package config

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

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

// Audit is the log of who did what: a record in JSON at the start and at the end of each request. A reload turns it on or off
// without a lost record.
type Audit struct {
	Enabled bool                 `config:"enabled"`     // write the log
	Sink    map[string]AuditSink `config:"sink"`        // where it is written to, by name: type, format, path, delivery_guarantee, mode, rotate_bytes, rotate_duration, rotate_max_files, facility
	RPC     bool                 `config:"rpc_enabled"` // accepted; calls between agents are not recorded
}

// An AuditSink is a place that the audit log is written to.
type AuditSink struct {
	Type           string        `config:"type"`               // file, or syslog (Lictor's own)
	Format         string        `config:"format"`             // json
	Delivery       string        `config:"delivery_guarantee"` // best-effort: requests go on if the sink cannot be written
	Path           string        `config:"path"`               // file to write
	Mode           string        `config:"mode"`               // permissions of the file, octal
	RotateBytes    int           `config:"rotate_bytes"`       // size at which the file is rotated; 0 is any size
	RotateDuration time.Duration `config:"rotate_duration"`    // age at which the file is rotated; 0s is 24h
	RotateMaxFiles int           `config:"rotate_max_files"`   // rotated files to keep; 0 is all
	Facility       string        `config:"facility"`           // facility of syslog; "" is LOCAL0
}

// Permissions are those of the file.
func (s *AuditSink) Permissions() fs.FileMode {
	mode, err := strconv.ParseUint(s.Mode, 8, 9)
	if err != nil {
		return 0o600
	}
	return fs.FileMode(mode)
}

// Names are those of the sinks, in order.
func (a *Audit) Names() []string { return slices.Sorted(maps.Keys(a.Sink)) }

func (a *Audit) check(r *report) {
	if a.Enabled && len(a.Sink) == 0 {
		r.refuse("audit.enabled", "is true, but there is no audit.sink to write to")
	}
	taken := map[string]string{}
	for _, name := range a.Names() {
		s := a.Sink[name]
		key := "audit.sink." + name
		s.check(r, key)
		place := s.Type + " " + filepath.Clean(s.Path)
		if other, ok := taken[place]; ok && s.Type != "" {
			r.refuse(key, "writes to the same place as audit.sink.%s", other)
		}
		taken[place] = name
	}
}

func (s *AuditSink) check(r *report, key string) {
	switch s.Type {
	case "file":
		if s.Path == "" {
			r.refuse(key+".path", "is missing, but a sink of type file needs it")
		}
	case "syslog":
		if s.Path != "" {
			r.refuse(key+".path", "is for sinks of type file")
		}
	default:
		r.refuse(key+".type", "is %q, but must be file or syslog", s.Type)
	}
	if s.Format != "" && s.Format != "json" {
		r.refuse(key+".format", "is %q, but must be json", s.Format)
	}
	if s.Delivery != "" && s.Delivery != "best-effort" {
		r.refuse(key+".delivery_guarantee", "is %q, but must be best-effort", s.Delivery)
	}
	if mode, err := strconv.ParseUint(s.Mode, 8, 9); s.Mode != "" && (err != nil || mode&0o200 == 0) {
		r.refuse(key+".mode", "is %q, but must be octal permissions that let the owner write, such as 0600", s.Mode)
	}
	atLeast(r, key+".rotate_bytes", s.RotateBytes, 0)
	atLeast(r, key+".rotate_duration", int64(s.RotateDuration), 0)
	atLeast(r, key+".rotate_max_files", s.RotateMaxFiles, 0)
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
