package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// levels says how high each package stands. A package may import those below it.
var levels = map[string]int{
	"state": 0, "expiry": 0, "rpc": 0, "telemetry": 0, "certs": 0, "pace": 0, "consulsnap": 0, "process": 0, "durable": 0, "heap": 0, "hcltext": 0,
	"atrest": 1, "filter": 1, "watch": 1, "replica": 1,
	"claims": 2,
	"acl":    3,
	"kv":     4, "catalog": 4, "coordinate": 4, "event": 4, "ca": 4, "backup": 4,
	"session": 5, "configentry": 5, "kvreplication": 5, "query": 6, "txn": 6, // query and txn name sessions
	"raftstore": 7, "gossip": 7, "health": 7, "view": 7,
	"httpapi": 8, "dnsserver": 8, "ui": 8,
	"config": 9, "agent/logging": 9, "agent/remote": 9,
	"agent/local": 10, "agent/audit": 10, "agent": 11,
	"cmd/lictor/client": 0, "cmd/lictor/lock": 1, "cmd/lictor": 12,
}

// owners says which packages alone may import a library.
var owners = map[string]struct {
	packages []string
	reason   string
}{
	"github.com/hashicorp/raft":        {[]string{"raftstore"}, "the rest of the house knows state.Log"},
	"github.com/hashicorp/raft-wal":    {[]string{"raftstore"}, "the rest of the house knows state.Log"},
	"github.com/hashicorp/raft-boltdb": {[]string{"raftstore"}, "the rest of the house knows state.Log"},
	"github.com/hashicorp/serf":        {[]string{"gossip"}, "the rest of the house knows member events"},
	"github.com/hashicorp/memberlist":  {[]string{"gossip"}, "the rest of the house knows member events"},
	"github.com/miekg/dns":             {[]string{"dnsserver"}, "the rest of the house knows nothing of DNS packets"},
	"github.com/minio/minio-go":        {[]string{"backup"}, "the rest of the house knows archives, not buckets"},
	"google.golang.org/grpc":           {[]string{"health"}, "it is there for gRPC health checks only"},
	"github.com/golang-jwt/jwt":        {[]string{"claims", "internal/openid"}, "the rest of the house knows claims"},
	"golang.org/x/oauth2":              {[]string{"claims"}, "the rest of the house knows claims"},
	"github.com/spf13/cobra":           {[]string{"cmd/lictor"}, "only the command line has commands"},
	"github.com/hashicorp/consul":      {nil, "its modules are for tests only"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

const module = "lictor/"

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestKnowledgeFlowsDown(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "internal/") {
			continue
		}
		level, ok := levels[name]
		if !ok {
			t.Errorf("%s has no level: give it one in this test and in docs/design.md", name)
		}
		for _, imported := range p.Imports {
			below, ours := strings.CutPrefix(imported, module)
			if ours && !strings.HasPrefix(below, "internal/") && levels[below] >= level {
				t.Errorf("%s (level %d) imports %s (level %d): knowledge flows down; declare what it needs as an interface of its own", name, level, below, levels[below])
			}
			if below == "agent/local" && name != "agent" {
				t.Errorf("%s imports agent/local, which is for agent alone: declare the few methods it needs", name)
			}
		}
	}
}

// What is under internal/ is for tests. The fake network knows nothing of what is said over it, so that the tests of any
// package may use it.
func TestTestingStaysOutOfTheProgram(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			below, ours := strings.CutPrefix(imported, module)
			if strings.HasPrefix(below, "internal/") && ours && !strings.HasPrefix(name, "internal/") {
				t.Errorf("%s imports %s, which is for tests", name, below)
			}
			if ours && name == "internal/fakenet" {
				t.Errorf("internal/fakenet imports %s: it must import nothing of ours", below)
			}
		}
	}
}

func TestLibrariesHaveOneHome(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			for library, rule := range owners {
				if imported != library && !strings.HasPrefix(imported, library+"/") {
					continue
				}
				allowed := false
				for _, owner := range rule.packages {
					allowed = allowed || name == owner
				}
				if !allowed {
					t.Errorf("%s imports %s, which only %v may: %s", name, imported, rule.packages, rule.reason)
				}
			}
		}
	}
}

// Names that say nothing of what a package is for.
var empty = []string{"util", "utils", "common", "helpers", "helper", "lib", "base", "misc", "types", "models", "structs"}

func TestNamesSayWhatPackagesAreFor(t *testing.T) {
	for _, p := range packages(t) {
		last := p.ImportPath[strings.LastIndexByte(p.ImportPath, '/')+1:]
		for _, name := range empty {
			if last == name {
				t.Errorf("%s: the name says nothing of what is in it", p.ImportPath)
			}
		}
	}
}
