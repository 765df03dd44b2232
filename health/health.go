// Package health runs the checks of one agent: it knows every type of check, when each is to run, how its results turn
// into a status, and for how long a check has been critical. It does not know what is registered, where statuses are
// kept, how they reach the catalog, nor who asks for them: it is given checks and reports what becomes of them.
package health

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"lictor/catalog"
)

// Defaults and limits of checks.
const (
	MinInterval          = time.Second      // shorter intervals are raised to it
	MinReap              = time.Second      // shorter times before deregistration are raised to it
	DefaultTimeout       = 10 * time.Second // of checks that reach over the network
	DefaultScriptTimeout = 30 * time.Second // of checks that run a command
	DefaultOutputMaxSize = 4096             // bytes of output that are kept of one run
	DefaultMaxConcurrent = 1024             // checks that run at the same moment
)

// Texts that users see when a script check is refused.
const (
	scriptsDisabled = "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or " +
		"'enable_local_script_checks' to true"
	remoteScriptsDisabled = "Scripts are disabled on this agent from remote calls; to enable, configure " +
		"'enable_script_checks' to true"
)

// Config configures a Scheduler. Its zero value works, without script checks and without aliases of other nodes.
type Config struct {
	// Log takes notes of changes of status; nil discards them.
	Log *slog.Logger
	// Alias tells of the checks that alias checks follow. Without it alias checks are refused.
	Alias AliasSource
	// AgentTLS is the agent's own certificate and its authorities, for enable_agent_tls_for_checks, as they are at the
	// moment. Each connection that speaks TLS begins with a copy. Nil means the system's authorities and no certificate.
	AgentTLS func() *tls.Config
	// EnableScriptChecks allows checks that run commands wherever they come from, EnableLocalScriptChecks only those
	// that do not come over HTTP.
	EnableScriptChecks, EnableLocalScriptChecks bool
	// OutputMaxSize bounds the output of one run in bytes; a definition may ask for less. 0 means DefaultOutputMaxSize.
	OutputMaxSize int
	// MaxConcurrent bounds the checks that run at the same moment; more have to wait. 0 means DefaultMaxConcurrent.
	MaxConcurrent int
	// DockerHost is where the Docker daemon listens, as in the environment variable DOCKER_HOST:
	// unix:///path or tcp://host:port. "" means unix:///var/run/docker.sock.
	DockerHost string
	// Reap is called, from a goroutine of its own, when a check of a service has been critical for the time that its
	// definition sets for deregistration, see CriticalSince, and again each time that has passed while the check stays. It may call any
	// method of the Scheduler but Stop. Nil leaves services alone.
	Reap func(serviceID, checkID string)
}

// A Check is one check to run.
type Check struct {
	ID         string
	ServiceID  string                   // "" for a check of the node
	Definition *catalog.CheckDefinition // validated and allowed; must not be changed any more
	Status     string                   // the present one; "" means critical
	Output     string                   // the present one, of a TTL check: repeated when it expires
	// Remaining is how long the present state of a TTL check is good for; 0 means its whole TTL. It serves to take up a
	// state from before a restart.
	Remaining time.Duration
	// Report takes each result, on goroutines of the Scheduler, never two at a time for one check. It must not call
	// the Scheduler's Stop, nor SetTTL for this check.
	Report func(status, output string)
}

// A result is what one run of a check found.
type result struct {
	status, output string
}

func passing(output string) result  { return result{catalog.Passing, output} }
func warning(output string) result  { return result{catalog.Warning, output} }
func critical(output string) result { return result{catalog.Critical, output} }
func failed(err error) result       { return critical(err.Error()) }

// A prober runs a check once. It ends in its own time, and soon after ctx is done.
type prober interface {
	probe(ctx context.Context) result
}

// Validate tells why a definition cannot be run, in Consul's words. Callers put "Invalid check: " before it.
func Validate(d *catalog.CheckDefinition) error { return d.Validate() }

// Allowed tells why a check that runs commands, on the host or in a container, must not be registered. Remote says that
// it came over HTTP.
func (c *Config) Allowed(d *catalog.CheckDefinition, remote bool) error {
	switch {
	case len(d.ScriptArgs) == 0 || c.EnableScriptChecks:
		return nil
	case !c.EnableLocalScriptChecks:
		return errors.New(scriptsDisabled)
	case remote:
		return errors.New(remoteScriptsDisabled)
	}
	return nil
}
