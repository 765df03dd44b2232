package config

import (
	"time"

	"lictor/catalog"
)

// Checks are the services and checks of files, and how the agent runs checks.
type Checks struct {
	Services       []*catalog.ServiceDefinition `config:"services"`                                                    // services of this agent; a single one may be called service
	Checks         []*catalog.CheckDefinition   `config:"checks"`                                                      // checks of this node or of services; a single one may be called check
	Scripts        bool                         `config:"enable_script_checks" debug:"EnableRemoteScriptChecks"`       // run script checks, those registered over HTTP, too
	LocalScripts   bool                         `config:"enable_local_script_checks" debug:"EnableLocalScriptChecks"`  // run script checks of files
	OutputMaxSize  int                          `config:"check_output_max_size" debug:"CheckOutputMaxSize"`            // bytes of a check's output that are kept
	UpdateInterval time.Duration                `config:"check_update_interval" debug:"CheckUpdateInterval"`           // how long a change of output alone may wait until it is in the catalog
	DiscardOutput  bool                         `config:"discard_check_output" debug:"DiscardCheckOutput"`             // keep no output of checks
	AgentTLS       bool                         `config:"enable_agent_tls_for_checks" debug:"EnableAgentTLSForChecks"` // use the agent's certificate in checks over TLS
}

// ReadServices reads the services of configuration files and directories, for commands that register or deregister
// them. Other keys may be there and are not checked. The error is that of Load.
func ReadServices(paths []string) ([]*catalog.ServiceDefinition, error) {
	l, d := &Loaded{Config: Default()}, newDecoder()
	l.read(d, Options{Paths: paths})
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	r := &report{origins: d.origins}
	checkDefinitions(r, l.Config.Checks.Services, nil)
	if len(r.problems) > 0 {
		return nil, Invalid{r.problems}
	}
	return l.Config.Checks.Services, nil
}

func defaultChecks() Checks {
	return Checks{OutputMaxSize: 4096, UpdateInterval: 5 * time.Minute}
}

func (c *Checks) check(r *report) {
	if c.OutputMaxSize < 1 {
		r.refuse("check_output_max_size", "is %d, but must be 1 or more", c.OutputMaxSize)
	}
	r.notNegative("check_update_interval", c.UpdateInterval)
	scripts := checkDefinitions(r, c.Services, c.Checks)
	if scripts && !c.Scripts && !c.LocalScripts {
		r.warn("there are script checks, but neither enable_local_script_checks nor enable_script_checks is true: an agent with them does not start")
	}
}
