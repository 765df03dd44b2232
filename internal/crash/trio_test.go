//go:build crash

package crash

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A trio is three servers of one cluster.
type trio []*server

// newTrio makes three servers whose data is in the directories given, and does not start them.
func newTrio(t *testing.T, dirs ...string) trio {
	t.Helper()
	var all trio
	var join []string
	for i := range 3 {
		s := newServer(t)
		s.name = fmt.Sprintf("s%d", i+1)
		if len(dirs) > 0 {
			s.dir = dirs[i]
		}
		all = append(all, s)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", s.ports[2]))
	}
	for _, s := range all {
		s.join = join
	}
	return all
}

// start starts all three and waits until each takes a write.
func (all trio) start(t *testing.T) {
	t.Helper()
	for _, s := range all {
		s.start(t)
		t.Cleanup(s.kill)
	}
	for _, s := range all {
		if _, err := s.ready(time.Now()); err != nil {
			for _, other := range all {
				t.Logf("%s: %s", other.name, other.log)
			}
			t.Fatal(s.name, err)
		}
	}
}

// leader waits until one of the servers says that it leads.
func (all trio) leader(t *testing.T) *server {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		for _, s := range all {
			if s.leads() {
				return s
			}
		}
	}
	for _, s := range all {
		t.Logf("%s: %s", s.name, s.log)
	}
	t.Fatal("no server leads")
	return nil
}

// leads tells whether a server takes itself for the leader.
func (s *server) leads() bool {
	status, body, err := s.call("GET", "/v1/status/leader", "")
	return err == nil && status == http.StatusOK && string(body) == fmt.Sprintf("\"127.0.0.1:%d\"", s.ports[4])
}

// without are the servers but one.
func (all trio) without(s *server) trio {
	return slices.DeleteFunc(slices.Clone(all), func(o *server) bool { return o == s })
}
