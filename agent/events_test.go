package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// An event reaches the agents that it is meant for, and those alone, by node and by what is registered on them.
func TestEventsReachTheirAgents(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	lan := s.lan.Addr()
	c, err := newSubject(t, ports(t)+fmt.Sprintf(`node_name = "c1" bind_addr = "127.0.0.1" data_dir = %q retry_join = [%q]`, t.TempDir(), lan))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	c.put("/v1/agent/service/register", `{"Name": "web", "Tags": ["blue"]}`)
	s.eventually("both are members", func() bool { return len(s.lan.Members()) == 2 && len(c.lan.Members()) == 2 })
	for _, path := range []string{"one?node=^n1$", "two?service=^web$&tag=blue", "none?service=web&tag=red", "consul?service=consul", "all"} {
		s.put("/v1/event/fire/"+path, "x")
	}
	for _, x := range []struct {
		who  *subject
		want string
	}{{s, "all one"}, {c, "all two"}} {
		x.who.eventually("the events are there", func() bool {
			events, _ := x.who.events.Events()
			var names []string
			for _, e := range events {
				names = append(names, e.Name)
			}
			slices.Sort(names) // gossip keeps no order
			return strings.Join(names, " ") == x.want
		})
	}
	s.eventually("the leader has told of itself", func() bool { return strings.Contains(s.log.String(), "a server leads the cluster: node=n1") })
}

// A server's autopilot begins with what the configuration says, and keeps what it was told since.
func TestAutopilotAtTheStart(t *testing.T) {
	dir := t.TempDir()
	const path, hcl = "/v1/operator/autopilot/configuration", `autopilot { max_trailing_logs = 77 last_contact_threshold = "1s" }`
	t.Run("first", func(t *testing.T) {
		s := start(t, dir, hcl)
		if c := s.fields(s.get(path)); c["MaxTrailingLogs"] != 77.0 || c["LastContactThreshold"] != "1s" {
			t.Errorf("%v", c)
		}
		s.eventually("the server is healthy", func() bool {
			status, _ := s.ask("GET", "/v1/operator/autopilot/health", "")
			return status == 200
		})
		s.put(path, `{"MaxTrailingLogs": 78}`)
	})
	s := start(t, dir, hcl)
	if c := s.fields(s.get(path)); c["MaxTrailingLogs"] != 78.0 || c["LastContactThreshold"] != "200ms" {
		t.Errorf("%v", c)
	}
}
