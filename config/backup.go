package config

import (
	"path/filepath"
	"strings"
	"time"

	"lictor/backup"
)

// Backup is automatic backups: the server that leads makes archives of the whole state on a schedule, once
// local_storage.path or aws_storage.s3_bucket is set. All servers should have the same section. The keys are those of
// Consul's snapshot agent.
type Backup struct {
	Snapshot   BackupSchedule `config:"snapshot"`
	Local      BackupLocal    `config:"local_storage"`
	S3         BackupS3       `config:"aws_storage"`
	Azure      map[string]any `config:"azure_blob_storage"` // other storage than S3's
	Google     map[string]any `config:"google_storage"`     // other storage than S3's
	HTTPAddr   string         `config:"http_addr"`          // accepted; the leader needs no address
	Token      string         `config:"token"`              // accepted; the leader needs no token
	Datacenter string         `config:"datacenter"`         // accepted; it is the leader's
	CAFile     string         `config:"ca_file"`            // accepted; the leader needs no address
	CAPath     string         `config:"ca_path"`            // accepted; the leader needs no address
	CertFile   string         `config:"cert_file"`          // accepted; the leader needs no address
	KeyFile    string         `config:"key_file"`           // accepted; the leader needs no address
	ServerName string         `config:"tls_server_name"`    // accepted; the leader needs no address
	License    string         `config:"license_path"`       // accepted; no licence is needed
	Login      map[string]any `config:"login"`              // accepted; the leader needs no token
	Log        map[string]any `config:"log"`                // accepted; it is the agent's log
}

// BackupSchedule is when archives are made and how many are kept.
type BackupSchedule struct {
	Interval    time.Duration `config:"interval"`           // time from one archive to the next, whoever leads
	Retain      int           `config:"retain"`             // archives of this cluster to keep
	MaxAge      time.Duration `config:"max_age"`            // age of the last good archive at which the check turns critical; 0s is three intervals (Lictor's own)
	MaxFailures int           `config:"max_failures"`       // failures in a row after which the check turns critical; one makes it a warning
	Service     string        `config:"service"`            // name of the service that carries the check; "" for none
	Stale       bool          `config:"stale"`              // accepted; archives are of the newest state
	Deregister  string        `config:"deregister_after"`   // accepted; the service moves with the leader
	LockKey     string        `config:"lock_key"`           // accepted; the leader needs no lock
	Scratch     string        `config:"local_scratch_path"` // accepted; nothing is written beside
}

// BackupLocal is a directory for archives.
type BackupLocal struct {
	Path string `config:"path"` // directory, which must exist; one that all servers share is best
}

// BackupS3 is a bucket of S3, or of what speaks its API.
type BackupS3 struct {
	AccessKey string `config:"access_key_id"`             // id of the key; without one, that of the environment or of the machine is used
	SecretKey string `config:"secret_access_key"`         // the key, which is never shown
	Region    string `config:"s3_region"`                 // region of the bucket
	Bucket    string `config:"s3_bucket"`                 // name of the bucket
	Prefix    string `config:"s3_key_prefix"`             // what stands, with a slash, before the names of archives
	Static    string `config:"s3_static_snapshot_name"`   // name that every archive takes from the one before once it was read back; none is counted then
	Endpoint  string `config:"s3_endpoint"`               // host or URL of another service than Amazon's
	CAFile    string `config:"s3_ca_file"`                // authorities of the endpoint's certificate, in PEM; "" is those of the system (Lictor's own)
	Encrypt   bool   `config:"s3_server_side_encryption"` // let the service encrypt archives
	KMS       bool   `config:"s3_enable_kms"`             // let it encrypt them with a key of its key service
	KMSKey    string `config:"s3_kms_key"`                // id of that key
	PathStyle bool   `config:"s3_force_path_style"`       // name the bucket in the path of requests (Lictor's own)
}

func defaultBackup() Backup {
	return Backup{Snapshot: BackupSchedule{Interval: time.Hour, Retain: 30, MaxFailures: 3, Service: "consul-snapshot"}, S3: BackupS3{Prefix: "consul-snapshot"}}
}

// On tells whether there are automatic backups.
func (b *Backup) On() bool { return b.Local.Path != "" || b.S3.Bucket != "" }

func (b *Backup) check(r *report) {
	s := &b.Snapshot
	if s.Interval < time.Second {
		r.refuse("snapshot_agent.snapshot.interval", "is %s, but must be 1s or more", s.Interval)
	}
	atLeast(r, "snapshot_agent.snapshot.retain", s.Retain, 1)
	atLeast(r, "snapshot_agent.snapshot.max_failures", s.MaxFailures, 1)
	if s.MaxAge != 0 && s.MaxAge <= s.Interval {
		r.refuse("snapshot_agent.snapshot.max_age", "is %s, but must be 0s or more than snapshot_agent.snapshot.interval, %s", s.MaxAge, s.Interval)
	}
	if s.Service == "consul" || strings.Contains(s.Service, "\x00") {
		r.refuse("snapshot_agent.snapshot.service", "is %q, but must not be the servers' own service", s.Service)
	}
	if b.Local.Path != "" && b.S3.Bucket != "" {
		r.refuse("snapshot_agent.aws_storage.s3_bucket", "cannot be used together with snapshot_agent.local_storage.path")
	}
	if b.Local.Path != "" && !filepath.IsAbs(b.Local.Path) {
		r.refuse("snapshot_agent.local_storage.path", "is %q, but must begin with a slash", b.Local.Path)
	}
	b.S3.check(r)
}

func (s *BackupS3) check(r *report) {
	_, secure, err := backup.SplitEndpoint(s.Endpoint)
	switch {
	case err != nil:
		r.refuse("snapshot_agent.aws_storage.s3_endpoint", "%s", err)
	case s.CAFile != "" && !secure:
		r.refuse("snapshot_agent.aws_storage.s3_ca_file", "needs an s3_endpoint that is reached with TLS")
	}
	if (s.AccessKey == "") != (s.SecretKey == "") {
		r.refuse("snapshot_agent.aws_storage.access_key_id", "and secret_access_key need each other")
	}
	if strings.Contains(s.Static, "/") {
		r.refuse("snapshot_agent.aws_storage.s3_static_snapshot_name", "is %q, but must not have a slash: s3_key_prefix is what stands before it", s.Static)
	}
	if s.KMS && s.KMSKey == "" {
		r.refuse("snapshot_agent.aws_storage.s3_enable_kms", "needs s3_kms_key")
	}
	if s.Bucket == "" && (s.AccessKey != "" || s.Endpoint != "" || s.CAFile != "" || s.Static != "") {
		r.refuse("snapshot_agent.aws_storage", "needs s3_bucket")
	}
}
