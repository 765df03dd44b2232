//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const oneServer = `node_name = "s1" server = true bootstrap = true `

func TestExec(t *testing.T) {
	s := newRealAgent(t, oneServer+`disable_remote_exec = false service { name = "web" tags = ["blue"] }`).leads()
	c := newRealAgent(t, fmt.Sprintf(`node_name = "c1" disable_remote_exec = false retry_join = [%q]`, s.gate))
	newRealAgent(t, fmt.Sprintf(`node_name = "unwilling" retry_join = [%q]`, s.gate))
	eventually(t, "all are members", func() bool {
		_, out, _ := s.lictor("catalog", "nodes")
		return strings.Contains(out, "c1") && strings.Contains(out, "unwilling")
	})
	for _, x := range []struct {
		args []string
		code int
		want []string // lines, sorted
	}{
		{[]string{"echo a; printf b"}, 0, []string{"    c1: a", "    c1: b", "    s1: a", "    s1: b",
			"2 / 2 node(s) completed / acknowledged", "==> c1: finished with exit code 0", "==> s1: finished with exit code 0"}},
		{[]string{"-node=^c", "exit 3"}, 2, []string{"1 / 1 node(s) completed / acknowledged", "==> c1: finished with exit code 3"}},
		{[]string{"-service=web", "-tag=blue", "-shell=false", "echo", "a  b"}, 0, []string{"    s1: a  b", "1 / 1 node(s) completed / acknowledged", "==> s1: finished with exit code 0"}},
		{[]string{"-node=c1", "-wait=500ms", "sleep 1.2; echo late"}, 0, []string{"    c1: late", "1 / 1 node(s) completed / acknowledged", "==> c1: finished with exit code 0"}},
		{[]string{"-node=unwilling", "true"}, 0, []string{"0 / 0 node(s) completed / acknowledged",
			"No agent has taken the job: agents do so only with disable_remote_exec = false in their configuration."}},
	} {
		code, out, stderr := c.lictor(append([]string{"exec"}, x.args...)...)
		got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		slices.Sort(got)
		if code != x.code || !slices.Equal(got, x.want) || stderr != "" {
			t.Errorf("%v: exit %d\n%s%s", x.args, code, out, stderr)
		}
	}
	_, keys, _ := s.lictor("kv", "get", "-keys")
	_, events, _ := s.lictor("watch", "-type=event")
	if keys != "" || events != "[]\n" {
		t.Errorf("left behind: %s%s", keys, events)
	}
}
