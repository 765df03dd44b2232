package raftstore

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestParsePeers(t *testing.T) {
	for content, want := range map[string]string{
		`[{"id": "a", "address": "10.0.0.1:8300"}]`: "",
		`[{"id": "a", "address": "[::1]:8300", "non_voter": false}, {"id": "b", "address": "10.0.0.2:8300", "non_voter": true}] `: "",
		``:                                     "is not a list",
		`["10.0.0.1:8300"]`:                    "is not a list",
		`{}`:                                   "is not a list",
		`[]`:                                   "no server in it has a vote",
		`null`:                                 "no server in it has a vote",
		`[{"address": "10.0.0.1:1"}]`:          "server 1 has no id",
		`[{"id": "a"}]`:                        "is no address",
		`[{"id": "a", "address": "10.0.0.1"}]`: "is no address",
		`[{"id": "a", "address": "10.0.0.1:1", "voter": true}]`:                        "unknown field",
		`[{"id": "a", "address": "10.0.0.1:1", "non_voter": true}]`:                    "no server in it has a vote",
		`[{"id": "a", "address": "10.0.0.1:1"}, {"id": "a", "address": "10.0.0.2:1"}]`: "server a is there twice",
		`[{"id": "a", "address": "10.0.0.1:1"}, {"id": "b", "address": "10.0.0.1:1"}]`: "two servers have the address",
		`[{"id": "a", "address": "10.0.0.1:1"}] []`:                                    "behind the list",
		`[{"id": "a", "address": "10.0.0.1:1"}` + strings.Repeat(" ", maxPeers):        "has more than",
	} {
		servers, err := parsePeers([]byte(content))
		if want == "" && (err != nil || len(servers) == 0 || !servers[0].Voter) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, %v", content, servers, err)
		}
	}
}

func FuzzParsePeers(f *testing.F) {
	f.Add([]byte(`[{"id": "a", "address": "10.0.0.1:8300", "non_voter": false}]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if servers, err := parsePeers(content); err == nil && checkServers(servers) != nil {
			t.Error(servers)
		}
	})
}

// lostQuorum leaves the directory of a server whose cluster has lost the two others for good.
func lostQuorum(t *testing.T, backend string) (dir string) {
	dir = t.TempDir()
	a := open(t, func(c *Config) { c.Dir, c.Backend = dir, backend })
	b, c := follower(t, a, "two"), follower(t, a, "three")
	for i := range 20 {
		put(t, a, fmt.Sprint("key", i), "1")
	}
	if err := a.Snapshot(); err != nil {
		t.Fatal(err)
	}
	put(t, a, "last", "1")
	for _, n := range []*Node{a, b, c} {
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writePeers(t *testing.T, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, "peers.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRecoveryByPeers(t *testing.T) {
	for _, backend := range []string{"wal", "boltdb"} {
		t.Run(backend, func(t *testing.T) {
			dir := lostQuorum(t, backend)
			path := writePeers(t, dir, `[{"id": "one", "address": "127.0.0.1:1"}]`)
			for range 2 {
				n := open(t, func(c *Config) { c.Dir, c.Backend, c.Bootstrap = dir, backend, false })
				if value(n, "key7") != "1" || value(n, "last") != "1" {
					t.Error("something is missing")
				}
				put(t, n, "later", "2")
				if servers, index, err := n.Servers(); len(servers) != 1 || index == 0 || err != nil {
					t.Errorf("servers: %v, %d, %v", servers, index, err)
				}
				if err := n.AddNonVoter(t.Context(), "four", "127.0.0.1:4"); err != nil { // by the right index
					t.Error(err)
				}
				if err := n.Remove(t.Context(), "four"); err != nil {
					t.Error(err)
				}
				if err := n.Stop(); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(path); err == nil {
					t.Error("peers.json is still there")
				}
				if _, err := os.Stat(path + ".used"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestBadPeersStopTheStart(t *testing.T) {
	dir := lostQuorum(t, "wal")
	bad := `[{"id": "one", "address": "127.0.0.1:1", "non_voter": true}]`
	path := writePeers(t, dir, bad)
	conf := Config{ID: "one", Dir: dir, SegmentSize: 1 << 20, Log: slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger()}
	if _, err := Open(conf); err == nil || !strings.Contains(err.Error(), "peers.json: no server in it has a vote") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != bad {
		t.Errorf("the file is %s, %v", content, err)
	}
	if _, err := PlanRecovery(conf, nil); err == nil || !strings.Contains(err.Error(), "has a vote") {
		t.Errorf("planned: %v", err)
	}
	conf.Dir = t.TempDir()
	writePeers(t, conf.Dir, `[{"id": "one", "address": "127.0.0.1:1"}]`)
	if _, err := Open(conf); err == nil || !strings.Contains(err.Error(), "no initial state") {
		t.Errorf("without a log: %v", err)
	}
}

func TestPlanRecovery(t *testing.T) {
	for _, backend := range []string{"wal", "boltdb"} {
		dir := lostQuorum(t, backend)
		conf := Config{ID: "one", Dir: dir, Log: slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger()}
		if _, err := PlanRecovery(conf, nil); err == nil || !strings.Contains(err.Error(), "there is no peers.json") {
			t.Errorf("without a list: %v", err)
		}
		for range 2 { // looking changes nothing
			r, err := PlanRecovery(conf, []Server{{ID: "one", Address: "127.0.0.1:1", Voter: true}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Now) != 3 || len(r.Next) != 1 || r.Given || r.LastIndex <= r.SnapshotIndex || r.SnapshotIndex == 0 || r.LastTerm == 0 || r.Index == 0 {
				t.Errorf("%+v", r)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		writePeers(t, dir, `[{"id": "one", "address": "127.0.0.1:1"}]`)
		r, err := PlanRecovery(conf, nil)
		if err != nil || !r.Given {
			t.Fatal(err)
		}
		if err := r.Carry(); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		n := open(t, func(c *Config) { c.Dir, c.Backend, c.Bootstrap = dir, backend, false })
		put(t, n, "later", "2")
		if value(n, "last") != "1" {
			t.Error("something is missing")
		}
		n.Stop()
	}
	if _, err := PlanRecovery(Config{Dir: t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "no server has had its log") {
		t.Errorf("nothing to recover: %v", err)
	}
}
