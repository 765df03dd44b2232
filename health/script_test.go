//go:build unix

package health

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lictor/catalog"
)

func shell(script string) catalog.CheckDefinition {
	return catalog.CheckDefinition{ScriptArgs: []string{"sh", "-c", script}}
}

func TestScript(t *testing.T) {
	tests := []struct{ name, script, status, output string }{
		{"0", "echo fine", "passing", "fine\n"},
		{"1", "echo careful; exit 1", "warning", "careful\n"},
		{"2", "echo broken >&2; exit 2", "critical", "broken\n"},
		{"255", "exit 255", "critical", ""},
		{"signal", "kill -9 $$", "critical", ""},
		{"both outputs", "echo a; echo b >&2; echo c", "passing", "a\nb\nc\n"},
		{"long", "printf %5000s x; exit 0", "passing", "Captured 4096 of 5000 bytes\n...\n" + strings.Repeat(" ", 4095) + "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, check(t, Config{}, shell(tt.script)), tt.status, tt.output)
		})
	}
	contains(t, check(t, Config{}, catalog.CheckDefinition{ScriptArgs: []string{"/no/such/file"}}), "critical", "no such file")
}

func TestScriptTimeout(t *testing.T) {
	d := shell("exec sleep 1000")
	d.Timeout = catalog.Duration(50 * time.Millisecond)
	expect(t, check(t, Config{}, d), "critical", "Timed out (50ms) running check")
	d = shell("echo so far; exec sleep 1000")
	d.Timeout = catalog.Duration(500 * time.Millisecond)
	expect(t, check(t, Config{}, d), "critical", "Timed out (500ms) running check\n\nso far\n")
}

// What a script has started dies with it.
func TestScriptTimeoutKillsTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, err := newScript(newEnvironment(Config{}), ptr(shell("sleep 1000 & echo $! >"+pidFile+"; wait")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result)
	go func() { done <- p.probe(ctx) }()
	var child string
	await(t, "the script has started a child", func() bool {
		b, _ := os.ReadFile(pidFile)
		child = strings.TrimSpace(string(b))
		return bytes.HasSuffix(b, []byte("\n"))
	})
	cancel()
	<-done
	await(t, "the child is dead", func() bool { return !alive(t, child) })
}

// A process that a script leaves behind does not hold up the check.
func TestScriptLeavesAProcessBehind(t *testing.T) {
	start := time.Now()
	expect(t, check(t, Config{}, shell("sleep 20 & echo started")), "passing", "started\n")
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the check took %s", d)
	}
}

func ptr[T any](v T) *T { return &v }

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// alive tells whether a process is there and no zombie.
func alive(t *testing.T, pid string) bool {
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestOSService(t *testing.T) {
	env := newEnvironment(Config{})
	env.systemctl = filepath.Join(t.TempDir(), "systemctl")
	fake := `#!/bin/sh
[ "$1 $2" = "is-active --" ] || exit 9
case $3 in
web) echo active;;
db) echo inactive; exit 3;;
slow) sleep 100;;
*) exit 4;;
esac
`
	if err := os.WriteFile(env.systemctl, []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	expect(t, checkIn(t, env, catalog.CheckDefinition{OSService: "web"}), "passing", `Service "web" is active`)
	expect(t, checkIn(t, env, catalog.CheckDefinition{OSService: "db"}), "critical", `Service "db" is not active: inactive`)
	expect(t, checkIn(t, env, catalog.CheckDefinition{OSService: "--version"}), "critical", `Service "--version" is not active: unknown`)
	slow := catalog.CheckDefinition{OSService: "slow", Timeout: catalog.Duration(30 * time.Millisecond)}
	contains(t, checkIn(t, env, slow), "critical", "Timed out (30ms) running check")
	env.systemctl = "no-such-systemctl"
	contains(t, checkIn(t, env, catalog.CheckDefinition{OSService: "web"}), "critical", "systemctl is not installed")
}
