//go:build unix

package health

import (
	"sync"
	"testing"
	"time"

	"lictor/catalog"
)

// Every type of check that needs no more than loopback runs by itself once it is added.
func TestChecksRun(t *testing.T) {
	s := New(Config{EnableScriptChecks: true, DockerHost: "unix:///no/such/socket"})
	defer s.Stop()
	site := website(t)
	addr := site.Listener.Addr().String()
	second := catalog.Duration(time.Second)
	want := map[string]string{"http": "passing", "tcp": "passing", "grpc": "critical", "h2ping": "critical", "udp": "critical", "script": "warning", "docker": "critical"}
	var mu sync.Mutex
	got := map[string]string{}
	for _, d := range []catalog.CheckDefinition{
		{HTTP: site.URL + "/status/200"}, {TCP: addr}, {GRPC: addr}, {H2PING: addr},
		{UDP: addr, Timeout: second / 10}, {ScriptArgs: []string{"sh", "-c", "exit 1"}},
		{DockerContainerID: "box", ScriptArgs: []string{"true"}},
	} {
		d.Interval = second
		id := d.Type()
		add(t, s, Check{ID: id, Definition: &d, Report: func(status, _ string) {
			mu.Lock()
			defer mu.Unlock()
			got[id] = status
		}})
	}
	for id, status := range want {
		await(t, id+" is "+status, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return got[id] == status
		})
	}
}
