package agent

import (
	"fmt"

	"lictor/agent/logging"
	"lictor/config"
)

// Reload reads the configuration again and puts in force what can change while the agent runs. If the configuration
// cannot be used, nothing changes.
func (a *Agent) Reload() error {
	a.reload.Lock()
	defer a.reload.Unlock()
	notify("RELOADING=1")
	defer notify("READY=1")
	loaded, err := a.Load()
	if err != nil {
		return fmt.Errorf("reload the configuration: %w", err)
	}
	a.announce(loaded)
	fresh := loaded.Config
	for _, key := range config.Diff(a.cfg, fresh) {
		a.log.Warn("changed in the configuration, but takes effect at the next start only", "key", key)
	}
	if err := a.local.Reload(definitionsOf(fresh), a.localSettings(fresh)); err != nil {
		return fmt.Errorf("reload services and checks: %w", err)
	}
	a.dns.Reload(dnsSettings(fresh))
	level, err := logging.ParseLevel(fresh.Log.Level)
	if err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	a.logs.SetLevel(level)
	a.log.Info("configuration reloaded")
	return nil
}
