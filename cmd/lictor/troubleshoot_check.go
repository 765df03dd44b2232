package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A seenCheck is a check as the catalog and the agent show it.
type seenCheck struct {
	Node, CheckID, Name, Status, Output, Notes, ServiceID, ServiceName, Type string
}

func (s seenCheck) title() string {
	text := fmt.Sprintf("check %s of node %s", s.CheckID, s.Node)
	if s.ServiceName != "" {
		text += " for service " + s.ServiceName
	}
	return text
}

// check finds out why checks of an id are not passing, on all nodes.
func (d *diagnosis) check(ctx context.Context, id string) error {
	self, err := d.self(ctx)
	if err != nil {
		return err
	}
	own := map[string]seenCheck{}
	if err := d.client.Get(ctx, "/v1/agent/checks", nil, &own); err != nil {
		return failf("Error querying the agent's checks: %w", err)
	}
	var all []seenCheck
	if err := d.client.Get(ctx, "/v1/health/state/any", nil, &all); err != nil {
		d.find(finding{fmt.Sprintf("the catalog does not answer: %s", err), "Look for the leader: lictor troubleshoot leader"})
	}
	known := map[string]bool{}
	var matching []seenCheck
	if c, ok := own[id]; ok {
		matching = append(matching, c)
	}
	for _, c := range all {
		known[c.CheckID] = true
		if c.CheckID == id && c.Node != self.Config.NodeName {
			matching = append(matching, c)
		}
		if c.CheckID == id && c.Node == self.Config.NodeName && own[id].CheckID == "" {
			matching = append(matching, c)
		}
		if o, ok := own[id]; ok && c.CheckID == id && c.Node == self.Config.NodeName && o.Status != c.Status {
			d.find(finding{fmt.Sprintf("the agent says %s of %s, and the catalog %s", o.Status, o.title(), c.Status), "If that lasts, look at the agent's log for errors of anti-entropy: lictor monitor"})
		}
	}
	if len(matching) == 0 {
		do := "lictor troubleshoot service NAME shows the checks of a service."
		if near := similar(id, known); near != "" {
			do = "Was this meant: " + near + "?\n" + do
		}
		d.find(finding{fmt.Sprintf("there is no check with the id %q", id), do})
	}
	for _, c := range matching {
		d.judge(c)
	}
	return nil
}

// judge tells of one check.
func (d *diagnosis) judge(c seenCheck) {
	if c.Status == "passing" {
		d.fine("%s is passing", c.title())
		return
	}
	d.find(finding{fmt.Sprintf("%s is %s: %s", c.title(), c.Status, firstLine(cmp.Or(c.Output, c.Notes))), cure(c)})
}

// cures are what to do for words in the output of checks that do not pass; the first that fits counts.
func cures() [][2]string {
	return [][2]string{
		{"connection refused", "Nothing listens at that address and port. Is the service running, and does it listen on that address?"},
		{"no such host", "The host name in the check cannot be resolved on that node."},
		{"no route to host", "The network has no way from that node to the address of the check."},
		{"TTL expired", "A TTL check passes only while the service says so in time: PUT /v1/agent/check/pass/%ID%\nThe service may hang or be gone, or tells a wrong id."},
		{"Timed out", "What is checked does not answer in time. Raise the check's timeout if that is how slow it may be."},
		{"deadline exceeded", "What is checked does not answer in time. Raise the check's timeout if that is how slow it may be."},
		{"Client.Timeout", "What is checked does not answer in time. Raise the check's timeout if that is how slow it may be."},
		{"executable file not found", "The program of the check is not in the PATH of the agent. Name it with its whole path."},
		{"no such file", "The program of the check is not there, or not on that node."},
		{"permission denied", "The agent's user may not run the program of the check."},
		{"certificate", "The check does not trust the certificate that it is shown. Set tls_server_name or tls_skip_verify in the check, or enable_agent_tls_for_checks."},
		{"HTTP GET", "The service answers, and says that it is not well: a status of 2xx passes, 429 is a warning, all else is critical."},
	}
}

// cure is what to do about a check that does not pass.
func cure(c seenCheck) string {
	switch {
	case c.CheckID == "serfHealth":
		return "The other agents do not hear of that node. Is its agent running, and is the port of gossip (8301 unless set otherwise) open to it for TCP and UDP?"
	case c.CheckID == "_node_maintenance":
		return "The node is in maintenance. On that node: lictor maint -disable"
	case strings.HasPrefix(c.CheckID, "_service_maintenance:"):
		return "The service is in maintenance. On its node: lictor maint -disable -service=" + c.ServiceID
	case c.Output == "" && c.Type == "ttl":
		return "Nobody has said yet that it passes: PUT /v1/agent/check/pass/" + c.CheckID
	case c.Output == "":
		return "It has not run yet, says nothing, or the catalog has not got its output yet (check_update_interval).\nAsk the agent of its node: lictor troubleshoot check -http-addr=ADDRESS " + c.CheckID
	}
	for _, known := range cures() {
		if strings.Contains(c.Output, known[0]) {
			return strings.ReplaceAll(known[1], "%ID%", url.PathEscape(c.CheckID))
		}
	}
	return "Run what it checks by hand on that node; the whole output: lictor watch -type=checks '-filter=CheckID == \"" + c.CheckID + "\"'"
}

// similar names what is spelled almost like a name, "" if nothing is.
func similar(name string, known map[string]bool) string {
	var near []string
	for k := range known {
		if distance(strings.ToLower(k), strings.ToLower(name)) <= 1+len(name)/4 {
			near = append(near, k)
		}
	}
	slices.Sort(near)
	return strings.Join(near[:min(len(near), 5)], ", ")
}

// distance is how many characters must be put in, left out or replaced to make one text of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
