package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"lictor/agent"
	"lictor/config"
)

// A realAgent is an agent of this process, on loopback.
type realAgent struct {
	*agent.Agent
	t    *testing.T
	gate string // where its pool listens
}

// newRealAgent starts an agent on free ports, with further HCL, until the test ends.
func newRealAgent(t *testing.T, hcl string) *realAgent {
	t.Helper()
	ports := freePorts(t, 5)
	text := fmt.Sprintf(`ports { http = %d dns = %d serf_lan = %d serf_wan = %d server = %d grpc_tls = -1 } bind_addr = "127.0.0.1" data_dir = %q
		limits { http_max_conns_per_client = 10000 } performance { raft_multiplier = 1 rpc_hold_timeout = "1s" } %s`, ports[0], ports[1], ports[2], ports[3], ports[4], t.TempDir(), hcl)
	a, err := agent.New(agent.Config{Output: io.Discard, Build: agent.Build{Version: consulVersion, Own: lictorVersion},
		Load: func() (*config.Loaded, error) { return config.Load(config.Options{Fragments: []string{text}}) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &realAgent{a, t, fmt.Sprintf("127.0.0.1:%d", ports[2].(int))}
}

// lictor runs a command line against the agent.
func (a *realAgent) lictor(args ...string) (code int, out, errors string) {
	var stdout, stderr bytes.Buffer
	c := &console{in: strings.NewReader(""), out: &stdout, err: &stderr, getenv: func(name string) string {
		if name == "CONSUL_HTTP_ADDR" {
			return a.HTTPAddrs()[0].String()
		}
		return ""
	}}
	code = run(a.t.Context(), c, args)
	return code, stdout.String(), stderr.String()
}

// leads waits until the catalog has the agent's own node.
func (a *realAgent) leads() *realAgent {
	a.t.Helper()
	eventually(a.t, "the agent leads", func() bool {
		_, out, _ := a.lictor("catalog", "nodes")
		return strings.Contains(out, "127.0.0.1")
	})
	return a
}
