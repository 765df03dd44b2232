package catalog

import (
	"fmt"
	"reflect"
	"time"
)

// The types of checks, as Check.Type tells them.
const (
	TypeTTL       = "ttl"
	TypeHTTP      = "http"
	TypeTCP       = "tcp"
	TypeUDP       = "udp"
	TypeScript    = "script"
	TypeDocker    = "docker"
	TypeGRPC      = "grpc"
	TypeH2PING    = "h2ping"
	TypeAlias     = "alias"
	TypeOSService = "os_service"
)

// Type is the kind of check that the definition chooses; "" if none. Where it chooses several the first in this order
// counts: alias, docker, script, HTTP, TCP, UDP, TTL, gRPC, H2PING, OS service.
func (d *CheckDefinition) Type() string {
	switch {
	case d.AliasNode != "" || d.AliasService != "":
		return TypeAlias
	case len(d.ScriptArgs) > 0 && d.DockerContainerID != "":
		return TypeDocker
	case len(d.ScriptArgs) > 0:
		return TypeScript
	case d.HTTP != "":
		return TypeHTTP
	case d.TCP != "":
		return TypeTCP
	case d.UDP != "":
		return TypeUDP
	case d.TTL > 0:
		return TypeTTL
	case d.GRPC != "":
		return TypeGRPC
	case d.H2PING != "":
		return TypeH2PING
	case d.OSService != "":
		return TypeOSService
	}
	return ""
}

// periodic tells whether the definition chooses a kind of check that is run at intervals.
func (d *CheckDefinition) periodic() bool {
	return len(d.ScriptArgs) > 0 || d.HTTP != "" || d.TCP != "" || d.UDP != "" || d.GRPC != "" || d.H2PING != "" || d.OSService != ""
}

// Validate tells what makes the definition unfit to be run, in Consul's words. Callers say before it where the
// definition is: "Invalid check: ".
func (d *CheckDefinition) Validate() error {
	switch {
	case d.Interval > 0 && d.TTL > 0:
		return fmt.Errorf("Interval and TTL cannot both be specified")
	case d.periodic() && d.Interval <= 0:
		return fmt.Errorf("Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks")
	case d.Type() == "":
		return fmt.Errorf("TTL must be > 0 for TTL checks")
	case d.OutputMaxSize < 0:
		return fmt.Errorf("MaxOutputMaxSize must be positive")
	case d.FailuresBeforeWarning > d.FailuresBeforeCritical:
		return fmt.Errorf("FailuresBeforeWarning can't be higher than FailuresBeforeCritical")
	}
	return nil
}

// ValidStatus tells whether a check may be registered in this state: passing, warning, critical, or none given.
func ValidStatus(status string) bool {
	return status == "" || status == Passing || status == Warning || status == Critical
}

// Identity is the check's identifier: its ID or CheckID, else its name.
func (d *CheckDefinition) Identity() string {
	for _, id := range []string{d.ID, d.CheckID, d.Name} {
		if id != "" {
			return id
		}
	}
	return ""
}

// empty tells whether the definition says nothing at all.
func (d *CheckDefinition) empty() bool {
	return reflect.ValueOf(*d).IsZero()
}

// Check is the row of the catalog for the definition, of a check of the node itself or of an instance (nil for the
// node): critical unless the definition gives another state to begin with.
func (d *CheckDefinition) Check(node string, of *Instance) *Check {
	c := &Check{
		Node:     node,
		CheckID:  d.Identity(),
		Name:     d.Name,
		Status:   d.Status,
		Notes:    d.Notes,
		Type:     d.Type(),
		Interval: time.Duration(d.Interval).String(),
		Timeout:  time.Duration(d.Timeout).String(),
	}
	if c.Status == "" {
		c.Status = Critical
	}
	if of != nil {
		c.ServiceID, c.ServiceName, c.ServiceTags = of.ID, of.Service, of.Tags
	}
	return c
}
