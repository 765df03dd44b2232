package config

import (
	"strings"
	"time"
)

// Federate is how this datacenter works with others.
type Federate struct {
	Primary          string        `config:"primary_datacenter" debug:"PrimaryDatacenter"`              // datacenter that owns ACLs and configuration entries; by default this one
	Gateways         []string      `config:"primary_gateways" debug:"PrimaryGateways"`                  // mesh gateways of the primary datacenter
	GatewaysInterval time.Duration `config:"primary_gateways_interval" debug:"PrimaryGatewaysInterval"` // pause between attempts to reach them
	RetryJoin        []string      `config:"retry_join_wan" debug:"RetryJoinWAN"`                       // servers of other datacenters to join, again and again until one answers
	RetryInterval    time.Duration `config:"retry_interval_wan" debug:"RetryJoinIntervalWAN"`           // pause between attempts to join
	RetryMax         int           `config:"retry_max_wan" debug:"RetryJoinMaxAttemptsWAN"`             // attempts before the agent gives up and ends; 0 means no end
	ReconnectTimeout time.Duration `config:"reconnect_timeout_wan" debug:"ReconnectTimeoutWAN"`         // when a failed server of another datacenter is forgotten
}

func defaultFederate() Federate {
	return Federate{GatewaysInterval: 30 * time.Second, RetryInterval: 30 * time.Second, ReconnectTimeout: 72 * time.Hour}
}

func (f *Federate) check(r *report, c *Config) {
	f.Primary = strings.ToLower(f.Primary)
	if f.Primary == "" {
		f.Primary = c.Node.Datacenter
	}
	r.matches("primary_datacenter", f.Primary, `^[a-z0-9_-]{1,64}$`, "1 to 64 letters, digits, dashes and underscores")
	atLeast(r, "retry_max_wan", f.RetryMax, 0)
	r.positive("retry_interval_wan", f.RetryInterval)
	r.positive("primary_gateways_interval", f.GatewaysInterval)
	if len(f.RetryJoin) > 0 && !c.Server.Server {
		r.refuse("retry_join_wan", "is for servers only: clients reach other datacenters through the servers of their own")
	}
	if len(f.RetryJoin) > 0 && c.Server.Server && c.Network.Ports.SerfWAN < 0 {
		r.refuse("retry_join_wan", "needs ports.serf_wan, which is switched off")
	}
	checkReconnect(r, "reconnect_timeout_wan", f.ReconnectTimeout)
	if f.Primary != c.Node.Datacenter && c.ACL.Enabled && !c.ACL.TokenReplication && c.Auto.Config.Authorization.Enabled {
		r.refuse("auto_config.authorization.enabled", "needs acl.enable_token_replication where primary_datacenter is another one")
	}
}
