package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"lictor/agent"
	"lictor/config"
)

// freePorts are ports of loopback that nobody listens at.
func freePorts(t *testing.T, n int) []any {
	t.Helper()
	free := make([]any, n)
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		free[i] = l.Addr().(*net.TCPAddr).Port
	}
	return free
}

// startAgent runs a whole agent until the test ends, and returns its address and Consul's client of it.
func startAgent(t *testing.T) (string, *api.Client) {
	t.Helper()
	hcl := fmt.Sprintf("ports { http = %d dns = -1 serf_lan = %d serf_wan = %d server = %d grpc_tls = -1 }\n", freePorts(t, 4)...) +
		fmt.Sprintf(`node_name = "n1" server = true bootstrap = true bind_addr = "127.0.0.1" data_dir = %q performance { raft_multiplier = 1 }`, t.TempDir())
	a, err := agent.New(agent.Config{Output: io.Discard, Load: func() (*config.Loaded, error) {
		return config.Load(config.Options{Fragments: []string{hcl}})
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	settings := api.DefaultConfig()
	settings.Address = a.HTTPAddrs()[0].String()
	settings.Transport = &http.Transport{DisableKeepAlives: true}
	cl, err := api.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent is in the catalog and can have sessions", func() bool {
		checks, _, err := cl.Health().Node("n1", nil)
		return err == nil && len(checks) > 0
	})
	return settings.Address, cl
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A job is a command line that runs beside the test.
type job struct {
	stdin   *io.PipeWriter
	stdout  *cue
	stderr  bytes.Buffer
	signals chan os.Signal
	code    chan int
}

func begin(addr string, args ...string) *job {
	in, w := io.Pipe()
	j := &job{stdin: w, stdout: &cue{seen: make(chan struct{})}, signals: make(chan os.Signal, 4), code: make(chan int, 1)}
	env := map[string]string{"CONSUL_HTTP_ADDR": addr}
	c := &console{in: in, out: j.stdout, err: &j.stderr, getenv: func(name string) string { return env[name] }, signals: j.signals}
	go func() {
		code := run(context.Background(), c, args)
		in.Close()
		j.code <- code
	}()
	return j
}

// ended is the exit code and what was printed, once the command has ended.
func (j *job) ended() string {
	code := <-j.code
	return fmt.Sprintf("%d %s%s", code, j.stdout.text.String(), j.stderr.String())
}

// holder is a command that says when it holds a lock, and holds it until its input ends.
func holder(addr string, flags ...string) *job {
	return begin(addr, append(append([]string{"lock", "-pass-stdin"}, flags...), "lk", "echo held; cat")...)
}

func quick(addr string, flags ...string) string {
	return begin(addr, append(append([]string{"lock"}, flags...), "lk", "echo quick")...).ended()
}

// Our locks and those of Consul's Go client exclude each other.
func TestLockBesideTheGoClient(t *testing.T) {
	addr, cl := startAgent(t)
	theirs := func() *api.Lock {
		l, err := cl.LockOpts(&api.LockOptions{Key: "lk/.lock", LockTryOnce: true, LockWaitTime: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ours := holder(addr)
	<-ours.stdout.seen
	if got, err := theirs().Lock(nil); got != nil || err != nil {
		t.Fatalf("they got our lock: %v", err)
	}
	ours.stdin.Close()
	if got := ours.ended(); got != "0 held\n" {
		t.Errorf("ours: %s", got)
	}
	l := theirs()
	if got, err := l.Lock(nil); got == nil || err != nil {
		t.Fatalf("they did not get the lock: %v", err)
	}
	if got := quick(addr, "-try=100ms"); !strings.HasPrefix(got, "1 Lock acquisition failed: it was not free within 100ms: ") {
		t.Errorf("we got their lock: %s", got)
	}
	waiting := begin(addr, "lock", "lk", "echo waited")
	eventually(t, "a second session waits", func() bool {
		all, _, err := cl.Session().List(nil)
		return err == nil && len(all) == 2
	})
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if got := waiting.ended(); got != "0 waited\n" {
		t.Errorf("after their unlock: %s", got)
	}
	nothingLeft(t, cl)
}

func TestSemaphoreBesideTheGoClient(t *testing.T) {
	addr, cl := startAgent(t)
	theirs := func(limit int) *api.Semaphore {
		s, err := cl.SemaphoreOpts(&api.SemaphoreOptions{Prefix: "lk", Limit: limit, SemaphoreTryOnce: true, SemaphoreWaitTime: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours := holder(addr, "-n=2")
	<-ours.stdout.seen
	second := theirs(2)
	if got, err := second.Acquire(nil); got == nil || err != nil {
		t.Fatalf("there was no room for a second one: %v", err)
	}
	if got, err := theirs(2).Acquire(nil); got != nil || err != nil {
		t.Fatalf("there was room for a third one: %v", err)
	}
	if _, err := theirs(3).Acquire(nil); err == nil || !strings.Contains(err.Error(), "limit conflict") {
		t.Fatalf("another limit: %v", err)
	}
	if got := quick(addr, "-n=2", "-try=100ms"); !strings.HasPrefix(got, "1 Lock acquisition failed") {
		t.Errorf("there was room for a third one of ours: %s", got)
	}
	ours.stdin.Close()
	if got := ours.ended(); got != "0 held\n" {
		t.Errorf("ours: %s", got)
	}
	if got := quick(addr, "-n=2"); got != "0 quick\n" {
		t.Errorf("after the release: %s", got)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
	if got := quick(addr, "-n=2"); got != "0 quick\n" {
		t.Errorf("after their release: %s", got)
	}
	nothingLeft(t, cl)
}

// Ours and those of Consul's Go client contend for a mutex and for a semaphore: there are never more holders than may be, and
// each contender gets its turns.
func TestContentionWithTheGoClient(t *testing.T) {
	addr, cl := startAgent(t)
	for limit := 1; limit <= 2; limit++ {
		t.Run(fmt.Sprint("n=", limit), func(t *testing.T) {
			var holding atomic.Int32
			work := func() {
				if n := holding.Add(1); n > int32(limit) {
					t.Errorf("%d holders of %d", n, limit)
				}
				time.Sleep(2 * time.Millisecond) // for others to come in if they can
				holding.Add(-1)
			}
			ours := func() error {
				j := holder(addr, fmt.Sprint("-n=", limit))
				<-j.stdout.seen
				work()
				j.stdin.Close()
				if got := j.ended(); got != "0 held\n" {
					return errors.New(got)
				}
				return nil
			}
			theirs := func() error {
				take, release := theirLock(t, cl, limit)
				if lost, err := take(nil); err != nil || lost == nil {
					return fmt.Errorf("not taken: %w", err)
				}
				work()
				return release()
			}
			var all sync.WaitGroup
			for range 3 {
				for _, turn := range []func() error{ours, theirs} {
					all.Go(func() {
						for range 5 {
							if err := turn(); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			all.Wait()
			removeLock(t, cl)
			nothingLeft(t, cl)
		})
	}
}

// theirLock is a mutex or a semaphore of Consul's client, which is taken once.
func theirLock(t *testing.T, cl *api.Client, limit int) (take func(<-chan struct{}) (<-chan struct{}, error), release func() error) {
	if limit > 1 {
		s, err := cl.SemaphorePrefix("lk", limit)
		if err != nil {
			t.Error(err)
		}
		return s.Acquire, s.Release
	}
	l, err := cl.LockKey("lk/.lock")
	if err != nil {
		t.Error(err)
	}
	return l.Lock, l.Unlock
}

// removeLock removes what Consul's client leaves of a lock that nobody holds.
func removeLock(t *testing.T, cl *api.Client) {
	t.Helper()
	if _, err := cl.KV().Delete("lk/.lock", nil); err != nil {
		t.Error(err)
	}
}

func nothingLeft(t *testing.T, cl *api.Client) {
	t.Helper()
	eventually(t, "neither keys nor sessions are left", func() bool {
		keys, _, err := cl.KV().Keys("", "", nil)
		sessions, _, err2 := cl.Session().List(nil)
		return err == nil && err2 == nil && len(keys)+len(sessions) == 0
	})
}

func TestCommandEndsWithItsLock(t *testing.T) {
	addr, cl := startAgent(t)
	j := begin(addr, "lock", "lk", "trap 'echo told; exit 0' TERM; echo held; while :; do :; done")
	<-j.stdout.seen
	all, _, err := cl.Session().List(nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if _, err := cl.Session().Destroy(all[0].ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := j.ended(); got != "1 held\ntold\nThe lock was lost, so the command was ended\n" {
		t.Error(got)
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	addr, cl := startAgent(t)
	j := begin(addr, "lock", "-child-exit-code", "lk", "trap 'echo hang-up' HUP; trap 'echo told; exit 7' TERM; echo held; while :; do :; done")
	<-j.stdout.seen
	j.signals <- syscall.SIGHUP
	j.signals <- os.Interrupt
	got := j.ended()
	if !strings.Contains(got, "hang-up\n") || !strings.HasPrefix(got, "2 held\n") || !strings.HasSuffix(got, "told\nError running handler: exit status 7\n") {
		t.Error(got)
	}
	nothingLeft(t, cl)

	ours := holder(addr)
	<-ours.stdout.seen
	waiting := begin(addr, "lock", "lk", "echo never")
	waiting.signals <- os.Interrupt
	if got := waiting.ended(); got != "1 Lock acquisition failed: interrupted\n" {
		t.Error(got)
	}
	ours.stdin.Close()
	ours.ended()
	nothingLeft(t, cl)
}

// A handler runs for each change, with the change on its input, and once only.
func TestWatchRunsItsHandler(t *testing.T) {
	addr, cl := startAgent(t)
	put := func(value string) {
		if _, err := cl.KV().Put(&api.KVPair{Key: "w", Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	dir := t.TempDir()
	j := begin(addr, "watch", "-type=key", "-key=w", "cat >> "+dir+"/seen; echo index $CONSUL_INDEX >>"+dir+"/seen; false")
	seen := func() []string {
		text, _ := os.ReadFile(dir + "/seen")
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	eventually(t, "the first change", func() bool { return len(seen()) == 2 })
	put("b")
	eventually(t, "the second change", func() bool { return len(seen()) == 4 })
	put("b")
	put("c")
	eventually(t, "the third change", func() bool { return len(seen()) == 6 })
	j.signals <- syscall.SIGTERM
	// The last handler may be told to end before it does so by itself.
	if got := j.ended(); !strings.HasPrefix(got, "0 "+strings.Repeat("Error executing handler: exit status 1\n", 2)) {
		t.Error(got)
	}
	for i, value := range []string{"YQ==", "Yg==", "Yw=="} {
		var index int
		fmt.Sscanf(seen()[2*i+1], "index %d", &index)
		if line := seen()[2*i]; !strings.Contains(line, `"Value":"`+value) || index == 0 {
			t.Errorf("change %d: %s, index %d", i, line, index)
		}
	}
}

func TestWatchEndsItsHandler(t *testing.T) {
	agent := newFakeAgent(t)
	agent.learn(`GET /v1/catalog/services 200 {}`)
	j := begin(agent.addr, "watch", "-type=services", "-shell=false", "sh", "-c", "trap 'echo told; exit 1' TERM; echo running; while :; do :; done")
	<-j.stdout.seen
	j.signals <- os.Interrupt
	if got := j.ended(); got != "0 running\ntold\n" {
		t.Error(got)
	}
	j = begin(agent.addr, "watch", "-type=services", "-shell=false", "./nothing")
	if got := j.ended(); !strings.HasPrefix(got, "1 Error executing handler: fork/exec ./nothing") {
		t.Error(got)
	}
}
