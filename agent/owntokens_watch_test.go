package agent

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"lictor/rpc"
)

// A watch asks with its own token, or else with the agent's default one; jobs of lictor exec are done with the agent's own.
func TestTokensOfWatchesAndJobs(t *testing.T) {
	const own, ofWatches, ofJobs = "00000000-aaaa-4aaa-8aaa-00000000000b", "00000000-aaaa-4aaa-8aaa-00000000000c", "00000000-aaaa-4aaa-8aaa-00000000000d"
	closed := fmt.Sprintf(`acl { enabled = true default_policy = "deny" tokens { initial_management = %q default = %q agent = %q } }`, management, ofWatches, ofJobs)
	dir := t.TempDir()
	s, err := newSubject(t, basis(t, t.TempDir()), closed)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	must := func(path, body string) {
		t.Helper()
		if status, text := s.askAs(management, "PUT", path, body); status != 200 {
			t.Fatalf("PUT %s: %d %s", path, status, text)
		}
	}
	s.eventually("ACLs have begun", func() bool {
		status, _ := s.askAs(management, "PUT", "/v1/kv/own", "mine")
		return status == 200
	})
	must("/v1/kv/default", "common")
	must("/v1/kv/job", "work")
	for secret, key := range map[string]string{own: "own", ofWatches: "default", ofJobs: "job"} {
		must("/v1/acl/policy", fmt.Sprintf(`{"Name": %q, "Rules": %q}`, key, fmt.Sprintf(`key %q { policy = "read" }`, key)))
		must("/v1/acl/token", fmt.Sprintf(`{"SecretID": %q, "Policies": [{"Name": %q}]}`, secret, key))
	}

	var watches []string
	for _, key := range []string{"own", "default"} {
		for name, token := range map[string]string{"own": `token = "` + own + `"`, "default": ""} {
			watches = append(watches, fmt.Sprintf(`{ type = "key" key = %q %s %s }`, key, token, noted(filepath.Join(dir, key+"-by-"+name))))
		}
	}
	s.reloads(closed, `watches = [`+strings.Join(watches, ", ")+`]`)
	for _, name := range []string{"own", "default"} {
		s.eventually("the watch of "+name+" has run", func() bool {
			lines := s.lines(filepath.Join(dir, name+"-by-"+name))
			return len(lines) == 1 && strings.Contains(lines[0], `"Value"`)
		})
	}
	s.eventually("both others are refused", func() bool {
		return strings.Count(s.log.String(), "a watch gets no answer") >= 2
	})
	for _, name := range []string{"own-by-default", "default-by-own"} {
		if lines := s.lines(filepath.Join(dir, name)); len(lines) > 0 {
			t.Errorf("%s is told %q", name, lines)
		}
	}

	store := &jobs{s.Agent}
	if value, err := store.Get(within(t), "job"); err != nil || string(value) != "work" {
		t.Errorf("a job with the agent's own token: %q, %v", value, err)
	}
	must("/v1/agent/token/agent", `{"Token": "`+own+`"}`)
	if _, err := store.Get(within(t), "job"); rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("a job with a token that is too narrow: %v", err)
	}
}
