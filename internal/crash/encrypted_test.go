//go:build crash

package crash

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNothingIsLostOfAnEncryptedCluster kills CRASH_ENCRYPTED servers (30) of three that encrypt all that they keep and say,
// under load and in the middle of changes of their keys, appends torn writes to their logs, and looks for every acknowledged write
// at every server. At the end the old keys are taken away, and nothing that was written is readable on the disks.
func TestNothingIsLostOfAnEncryptedCluster(t *testing.T) {
	seed := number(t, "CRASH_SEED", mathrand.Uint64())
	t.Logf("CRASH_SEED=%d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 2))
	all := newTrio(t)
	gossip := encrypt(t, all)
	all.start(t)
	l := &ledger{all: all}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.write(ctx); close(ended) }() // ends with ctx
	for round := range int(number(t, "CRASH_ENCRYPTED", 30)) {
		if round%3 == 1 {
			gossip = all.changeGossipKey(t, gossip)
		}
		victim := all[random.IntN(3)]
		if round%2 == 0 {
			victim = all.leader(t)
		}
		rotated := make(chan struct{})
		if random.IntN(2) == 0 {
			victim.addKey(t)
		}
		go func() { // ends with the server
			_, _, _ = victim.call("PUT", "/v1/agent/at-rest/rotate", "")
			close(rotated)
		}()
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
		victim.kill()
		<-rotated
		what := victim.tear(t, random)
		victim.start(t)
		if _, err := victim.ready(time.Now()); err != nil {
			t.Fatalf("round %d, log %s: %s does not come back: %v", round, what, victim.name, err)
		}
		if round%5 == 4 {
			l.verify(t, all)
		}
		if t.Failed() {
			t.Fatalf("round %d, log %s, has failed with CRASH_SEED=%d", round, what, seed)
		}
		t.Logf("round %d: %s killed, log %s", round, victim.name, what)
	}
	cancel()
	<-ended
	l.verify(t, all)
	for _, s := range all {
		s.forgetKeys(t)
	}
	for _, s := range all {
		s.kill()
	}
	all.start(t)
	l.verify(t, all)
	for _, s := range all {
		s.nothingReadable(t, "page/")
	}
	t.Logf("%d writes in %d keys", l.sent, len(l.pages))
}

// encrypt lets servers encrypt what is on their disks, what they say to each other and their gossip. It returns the key of
// the last.
func encrypt(t *testing.T, all trio) (gossip string) {
	t.Helper()
	dir := t.TempDir()
	made := func(args ...string) {
		cmd := exec.Command(program(t), append([]string{"tls"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("lictor %s: %v: %s", strings.Join(cmd.Args[1:], " "), err, out)
		}
	}
	made("ca", "create")
	gossip = newKey()
	for i, s := range all {
		made("cert", "create", "-server", "-dc=dc1")
		leaf := filepath.Join(dir, fmt.Sprintf("dc1-server-consul-%d", i))
		s.secure = map[string]any{"encrypt": gossip, "tls": map[string]any{
			"defaults":     map[string]any{"ca_file": filepath.Join(dir, "consul-agent-ca.pem"), "cert_file": leaf + ".pem", "key_file": leaf + "-key.pem", "verify_incoming": true, "verify_outgoing": true},
			"internal_rpc": map[string]any{"verify_server_hostname": true},
		}}
		s.keys = filepath.Join(s.dir, "keys")
		write(t, s.keys, []byte(newKey()+"\n"))
	}
	return gossip
}

// program is lictor by a path that is good in each directory.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(lictor())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// addKey puts a new key for what is on disk in front of the others.
func (s *server) addKey(t *testing.T) {
	t.Helper()
	write(t, s.keys, append([]byte(newKey()+"\n"), read(t, s.keys)...))
}

// changeGossipKey gives the pool another key and takes the old one away.
func (all trio) changeGossipKey(t *testing.T, old string) string {
	t.Helper()
	key := newKey()
	for _, step := range [][2]string{{"POST", key}, {"PUT", key}, {"DELETE", old}} {
		var status int
		var body []byte
		var err error
		for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) { // until all members answer
			status, body, err = all[0].call(step[0], "/v1/operator/keyring", fmt.Sprintf(`{"Key": %q}`, step[1]))
			if err == nil && status == http.StatusOK {
				break
			}
		}
		if err != nil || status != http.StatusOK {
			t.Fatalf("%s /v1/operator/keyring: %d %s, %v", step[0], status, body, err)
		}
	}
	for _, s := range all {
		s.secure["encrypt"] = key
	}
	return key
}

// tear appends a torn write to the log of a server that does not run.
func (s *server) tear(t *testing.T, random *mathrand.Rand) string {
	t.Helper()
	names := files(t, filepath.Join(s.dir, "data"))
	name := names[len(names)-1]
	content := read(t, name)
	all := batches(content)
	if random.IntN(2) == 0 || len(all) == 0 || all[len(all)-1].index {
		return "left alone"
	}
	return appendTorn(t, random, name, content, all[len(all)-1])
}

// forgetKeys brings all that a server keeps under its newest key, and takes the others away.
func (s *server) forgetKeys(t *testing.T) {
	t.Helper()
	if status, body, err := s.call("PUT", "/v1/agent/at-rest/rotate", ""); err != nil || status != http.StatusOK {
		t.Fatalf("%s: rotate: %d %s, %v", s.name, status, body, err)
	}
	var report struct {
		Done   bool
		Under  []struct{ Key string }
		Unused []string
	}
	status, body, err := s.call("GET", "/v1/agent/at-rest", "")
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &report) != nil || !report.Done || len(report.Under) != 1 {
		t.Fatalf("%s: not all is under the newest key: %d %s, %v", s.name, status, body, err)
	}
	keys := strings.Fields(string(read(t, s.keys)))
	if len(report.Unused) != len(keys)-1 {
		t.Errorf("%s: %d keys, of which these are not needed: %v", s.name, len(keys), report.Unused)
	}
	write(t, s.keys, []byte(keys[0]+"\n"))
}

// nothingReadable looks for a text in all files of a server's data.
func (s *server) nothingReadable(t *testing.T, text string) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // the server runs, and files come and go
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		if looked++; bytes.Contains(content, []byte(text)) {
			t.Errorf("%s: %q can be read in %s", s.name, text, path)
		}
		return nil
	})
	if err != nil || looked == 0 {
		t.Errorf("%s: %d files: %v", s.name, looked, err)
	}
}
