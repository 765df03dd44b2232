package config

import "time"

// Autopilot is how the leader looks after the other servers; what it says holds until it is changed over the API.
type Autopilot struct {
	CleanupDeadServers bool          `config:"cleanup_dead_servers" debug:"AutopilotCleanupDeadServers"`           // remove failed servers once a new one has come
	LastContact        time.Duration `config:"last_contact_threshold" debug:"AutopilotLastContactThreshold"`       // how long a healthy server may be out of contact
	MaxTrailingLogs    int           `config:"max_trailing_logs" debug:"AutopilotMaxTrailingLogs"`                 // log entries that a healthy server may be behind
	MinQuorum          uint          `config:"min_quorum" debug:"AutopilotMinQuorum"`                              // servers below which none is removed
	Stabilization      time.Duration `config:"server_stabilization_time" debug:"AutopilotServerStabilizationTime"` // how long a new server must be healthy before it votes
	NoMigration        bool          `config:"disable_upgrade_migration" debug:"AutopilotDisableUpgradeMigration"` // do not hold newer servers back until they can take over
	ZoneTag            string        `config:"redundancy_zone_tag" debug:"AutopilotRedundancyZoneTag"`             // node_meta key of the zone in which only one server votes
	VersionTag         string        `config:"upgrade_version_tag" debug:"AutopilotUpgradeVersionTag"`             // node_meta key of the version to migrate by
}

func defaultAutopilot() Autopilot {
	return Autopilot{CleanupDeadServers: true, LastContact: 200 * ms, MaxTrailingLogs: 250, Stabilization: 10 * time.Second}
}

func (a *Autopilot) check(r *report) {
	atLeast(r, "autopilot.max_trailing_logs", a.MaxTrailingLogs, 0)
	r.notNegative("autopilot.last_contact_threshold", a.LastContact)
	r.notNegative("autopilot.server_stabilization_time", a.Stabilization)
}
