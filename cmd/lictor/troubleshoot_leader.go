package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

// leader finds out whether there is a leader, why there is none, and whether the servers are well.
func (d *diagnosis) leader(ctx context.Context, _ string) error {
	self, err := d.self(ctx)
	if err != nil {
		return err
	}
	d.fine("the agent of node %s answers", self.Config.NodeName)
	var members []member
	if err := d.client.Get(ctx, "/v1/agent/members", nil, &members); err != nil {
		return failf("Error retrieving members: %w", err)
	}
	servers := serversOf(members)
	var leader string
	// Without a leader, and without a server to ask, this is an error.
	_ = d.client.Get(ctx, "/v1/status/leader", url.Values{"stale": {""}}, &leader)
	if leader != "" {
		d.fine("the server at %s leads", leader)
		return d.autopilot(ctx)
	}
	if !d.noServers(self, servers) {
		d.noQuorum(self, servers)
	}
	return nil
}

func serversOf(members []member) []member {
	var out []member
	for _, m := range members {
		if m.Tags["role"] == "consul" {
			out = append(out, m)
		}
	}
	return out
}

// noServers tells of servers that this agent does not know, or that have never begun a cluster.
func (d *diagnosis) noServers(self described, servers []member) bool {
	alive, expect := 0, self.DebugConfig.BootstrapExpect
	begun := strings.HasPrefix(self.Stats.Consul.NoLeader, "voters:")
	for _, m := range servers {
		if m.state() == "alive" {
			alive++
		}
		if n, err := strconv.Atoi(m.Tags["expect"]); err == nil && expect == 0 {
			expect = n
		}
	}
	switch {
	case len(servers) == 0:
		d.find(finding{"no leader: this agent knows no server",
			"It has joined no cluster. Set retry_join to the addresses of the servers, or join now: lictor join ADDRESS\n" +
				"The port of gossip, 8301 unless set otherwise, must be open between all agents for TCP and UDP."})
	case alive == 0:
		d.find(finding{fmt.Sprintf("no leader: none of the %d servers that this agent knows is alive", len(servers)),
			"Start them, or look for what cuts this node off from them: " + named(servers)})
	case !begun && expect > 1 && alive < expect:
		d.find(finding{fmt.Sprintf("no leader: bootstrap_expect is %d, and of the servers %d are known: %s", expect, alive, named(servers)),
			fmt.Sprintf("The cluster begins once %d servers know each other. Start the others with retry_join = [\"%s\"], or join them: lictor join %s",
				expect, servers[0].address(), servers[0].address())})
	case !begun && expect == 0 && self.DebugConfig.ServerMode && alive == 1:
		d.find(finding{"no leader: this server waits to join a cluster, and is not told to begin one",
			"Set bootstrap_expect to the number of servers that are to be, 1 for a single one, or retry_join to the address of a server of the cluster."})
	default:
		return false
	}
	return true
}

// noQuorum tells of servers that have a vote and cannot be reached.
func (d *diagnosis) noQuorum(self described, servers []member) {
	if text := self.Stats.Consul.NoLeader; text != "" {
		d.find(finding{"no leader: " + text,
			"More than half of the voters must answer. Start those that do not, or mend the way to their port (8300 unless set otherwise).\n" +
				"If they are gone for good: stop the servers that are left, and see lictor operator raft recover -help"})
		return
	}
	var down []member
	for _, m := range servers {
		if m.state() != "alive" {
			down = append(down, m)
		}
	}
	if len(down) == 0 {
		d.find(finding{"no leader: the servers are alive, and have elected none", "If that lasts more than a few seconds, ask one of them: lictor troubleshoot leader -http-addr=ADDRESS\nTheir clocks need not agree, but each must reach the others' port 8300: " + named(servers)})
		return
	}
	d.find(finding{fmt.Sprintf("no leader: %d of %d servers are not alive: %s", len(down), len(servers), named(down)),
		"More than half of the servers are needed. Start them; if they are gone for good, see lictor operator raft recover -help"})
}

func named(members []member) string {
	var texts []string
	for _, m := range members {
		texts = append(texts, fmt.Sprintf("%s at %s (%s)", m.Name, m.address(), m.state()))
	}
	return strings.Join(texts, ", ")
}

// autopilot tells of servers that are not well though there is a leader.
func (d *diagnosis) autopilot(ctx context.Context) error {
	var health struct {
		Healthy          bool
		FailureTolerance int
		Servers          []struct {
			Name, Address, SerfStatus, LastContact string
			LastIndex                              uint64
			Healthy, Voter                         bool
		}
	}
	res, err := d.client.Do(ctx, client.Request{Method: http.MethodGet, Path: "/v1/operator/autopilot/health"})
	var status *client.Status
	switch {
	case err == nil:
		defer res.Body.Close()
		err = json.NewDecoder(res.Body).Decode(&health)
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests: // not healthy; the answer is the same
		err = json.Unmarshal([]byte(status.Text), &health)
	}
	if err != nil {
		return failf("Error querying autopilot: %w", err)
	}
	voters := 0
	for _, s := range health.Servers {
		if s.Voter {
			voters++
		}
		if !s.Healthy {
			d.find(finding{fmt.Sprintf("server %s at %s is not well: %s in gossip, last heard of by the leader %s ago, log at %d", s.Name, s.Address, s.SerfStatus, s.LastContact, s.LastIndex),
				"Is its process running, and its disk quick enough? If it is gone for good: lictor operator raft remove-peer -id=ID"})
		}
	}
	if health.Healthy {
		d.fine("%d servers are well, %d of them with a vote", len(health.Servers), voters)
	}
	switch {
	case voters == 1:
		d.fine("the only voter: the cluster does not outlive the loss of this server")
	case health.FailureTolerance == 0 && voters > 1:
		d.find(finding{fmt.Sprintf("of %d voters none may fail any more", voters), "Bring back those that are not well, or add servers: three voters outlive the loss of one, five of two."})
	default:
		d.fine("%d more servers may fail", health.FailureTolerance)
	}
	return nil
}
