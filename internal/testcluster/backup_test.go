package testcluster

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A change of leader neither doubles nor skips a backup, and the service moves with the leader. No key with a TTL goes
// early.
func TestBackupsAndDeadlinesMoveWithTheLeader(t *testing.T) {
	dir := t.TempDir()
	hcl := fmt.Sprintf(`snapshot_agent { snapshot { interval = "1h" } local_storage { path = %q } }`, dir)
	count := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "*.snap"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	Run(t, 3, 0, hcl, func(c *Cluster) {
		old := c.Leader()
		on := func(n *Node) bool {
			got := n.Get("/v1/health/service/consul-snapshot?passing")
			return strings.Count(got, `"service:consul-snapshot"`) == 1 && strings.Contains(got, fmt.Sprintf(`"Node":%q`, n.Name))
		}
		c.Eventually("a backup is made and told of", func() bool { return count() == 1 && on(old) })
		if a := old.Ask("PUT", "/v1/kv/mortal?ttl=60s", "v"); !a.OK() {
			t.Fatal(a.Body)
		}
		c.Sleep(50 * time.Second)
		old.Kill()
		next := c.Leader()
		c.Eventually("the service has moved", func() bool { return on(next) })
		c.Sleep(30 * time.Second)
		if got := next.Get("/v1/kv/mortal?raw"); got != "v" {
			t.Errorf("the key went early: %q", got)
		}
		c.Eventually("the key ends", func() bool { return !next.Ask("GET", "/v1/kv/mortal", "").OK() })
		c.Sleep(40 * time.Minute)
		if n := count(); n != 1 {
			t.Errorf("%d backups before the hour is over", n)
		}
		c.Sleep(20 * time.Minute)
		if n := count(); n != 2 {
			t.Errorf("%d backups after it", n)
		}
		old.Start()
	})
}
