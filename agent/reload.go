package agent

import (
	"errors"
	"fmt"

	"lictor/agent/logging"
	"lictor/config"
	"lictor/raftstore"
)

// Reload reads the configuration again and puts in force what can change while the agent runs. If the configuration
// cannot be used, nothing changes.
func (a *Agent) Reload() error {
	a.reload.Lock()
	defer a.reload.Unlock()
	err := a.renew()
	if err != nil {
		a.log.Error("the configuration was not reloaded", "error", err)
	}
	return err
}

// renew is Reload without its guards.
func (a *Agent) renew() error {
	notify("RELOADING=1")
	defer notify("READY=1")
	loaded, err := a.load()
	if err != nil {
		var problems config.Problems
		if errors.As(err, &problems) {
			return errors.New(problems.Explain()) // with file, line and what is allowed
		}
		return fmt.Errorf("reload the configuration: %w", err)
	}
	a.announce(loaded)
	fresh := loaded.Config
	for _, key := range config.Diff(a.cfg, fresh) {
		a.log.Warn("changed in the configuration, but takes effect at the next start only", "key", key)
	}
	keys, err := a.newKeys(fresh)
	if err != nil {
		return err
	}
	if err := a.certs.Load(certsConfig(fresh)); err != nil { // first, as this is what is most likely to fail
		return fmt.Errorf("certificates: %w", err)
	}
	if err := a.audit.Reload(auditSinks(fresh)); err != nil { // before there are requests to note
		return err
	}
	a.atRest.Use(keys)
	a.reviewCerts()
	if err := a.local.Reload(definitionsOf(fresh), a.localSettings(fresh)); err != nil {
		if undone := a.audit.Reload(auditSinks(a.current.Load())); undone != nil {
			a.log.Error("the audit log is not what it was before", "error", undone)
		}
		return fmt.Errorf("reload services and checks: %w", err)
	}
	current := a.cfg.Reloaded(fresh)
	a.current.Store(current)
	a.described.Store(&current.Node)
	a.local.Describe(a.node())
	a.secrets.configure(&fresh.ACL.Tokens)
	a.dns.Reload(a.dnsSettings(fresh))
	level, err := logging.ParseLevel(fresh.Log.Level)
	if err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	a.logs.SetLevel(level)
	a.http.Reload(a.httpRules(fresh))
	a.conns.limit(fresh.Limits.HTTPMaxConns)
	if err := a.metrics.SetFilter(fresh.Telemetry.FilterDefault, fresh.Telemetry.PrefixFilter); err != nil {
		return fmt.Errorf("telemetry.prefix_filter: %w", err)
	}
	a.replaceWatches(fresh.Watches.Definitions())
	if a.server != nil {
		a.server.pacer.set(&fresh.Limits.Requests)
		a.server.services.replicas.Configure(fresh.Replicate.Feeds())
		r := &fresh.Raft
		err := a.server.node.Retain(raftstore.Retention{Threshold: uint64(r.SnapshotThreshold), Interval: r.SnapshotInterval, Trailing: uint64(r.TrailingLogs)})
		if err != nil {
			return fmt.Errorf("raft_snapshot_threshold, raft_snapshot_interval, raft_trailing_logs: %w", err)
		}
	}
	a.log.Info("configuration reloaded")
	return nil
}
