//go:build chaos

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	lockers    = 4 // clients of the API that contend for locks
	lockPlaces = 2 // locks at once, each of which makes place for a new one now and then
	holders    = 2 // that run `lictor lock`, for one lock of their own
	lockPause  = 60 * time.Millisecond
)

// A siege is some clients that contend for locks, and write under them to registers, whatever happens to them and to the
// servers.
type siege struct {
	*load
	t *testing.T

	mu    sync.Mutex // guards what follows
	ops   []lockOp
	stops int // of `lictor lock`
	lost  int // locks that it has lost by that
}

// run lets all work until ctx ends.
func (s *siege) run(ctx context.Context, seed uint64) {
	var working sync.WaitGroup
	for i := range lockers {
		l := &locker{siege: s, id: i, random: rand.New(rand.NewPCG(seed, uint64(100+i))), http: s.c.network.http(longTimeout)}
		working.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				l.turn(ctx, fmt.Sprintf("locks/%d/%d", time.Duration(s.since())/(40*time.Second), l.random.IntN(lockPlaces)))
			}
		})
	}
	for i := range holders {
		l := &locker{siege: s, id: lockers + i, random: rand.New(rand.NewPCG(seed, uint64(200+i))), http: s.c.network.http(longTimeout)}
		working.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				l.hold(ctx, fmt.Sprintf("holder-%d-%d", i, turn))
			}
		})
	}
	working.Wait()
}

func (s *siege) note(o lockOp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, o)
}

// A locker contends for locks, with a new session each time.
type locker struct {
	*siege
	id     int
	random *rand.Rand
	http   *http.Client
}

// errUnknown tells that nobody knows whether something was done.
var errUnknown = errors.New("no answer")

func (l *locker) ask(method, path, body string) (int, string, error) {
	agents := l.c.all()
	r, err := http.NewRequest(method, agents[l.random.IntN(len(agents))].url()+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	answer, err := l.http.Do(r)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", errUnknown, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusInternalServerError {
		return 0, "", errUnknown
	}
	return answer.StatusCode, strings.TrimSpace(string(text)), nil
}

func (l *locker) rest() { time.Sleep(time.Duration(l.random.Int64N(int64(lockPause)))) }

// turn tries to get a lock for a while, works under it, and gives it up in one way or another.
func (l *locker) turn(ctx context.Context, key string) {
	behaviour := []string{"release", "release", "delete"}[l.random.IntN(3)]
	_, text, err := l.ask("PUT", "/v1/session/create", fmt.Sprintf(`{"TTL": "10s", "Behavior": %q, "LockDelay": "%dms", "NodeChecks": []}`,
		behaviour, 1+l.random.IntN(2000)))
	var made struct{ ID string }
	if err != nil || json.Unmarshal([]byte(text), &made) != nil || made.ID == "" {
		l.rest()
		return
	}
	defer func() { _, _, _ = l.ask("PUT", "/v1/session/destroy/"+made.ID, "") }()
	for end := time.Now().Add(5 * time.Second); ; l.rest() {
		if ctx.Err() != nil || time.Now().After(end) {
			return
		}
		got, err := l.change(acquire, key, made.ID)
		if err != nil {
			return
		}
		if got {
			break
		}
	}
	if !l.work(ctx, key, made.ID, time.Duration(l.random.Int64N(int64(2*time.Second)))) {
		return
	}
	if l.random.IntN(3) > 0 {
		_, _ = l.change(release, key, made.ID)
		return
	}
	// It loses the lock and does not hear of it.
	_, _, _ = l.ask("PUT", "/v1/session/destroy/"+made.ID, "")
	l.work(ctx, key, made.ID, time.Second)
}

// change acquires or releases a lock.
func (l *locker) change(kind, key, session string) (bool, error) {
	o := lockOp{Client: l.id, Kind: kind, Key: key, Session: session, Call: l.since()}
	status, text, err := l.ask("PUT", "/v1/kv/"+key+"?"+kind+"="+url.QueryEscape(session), "")
	o.Return, o.Granted = l.since(), text == "true"
	if err != nil || status != http.StatusOK {
		return false, errUnknown
	}
	l.note(o)
	return o.Granted, nil
}

// work writes under a lock until a write is refused or time is over. It tells whether the lock is held still, as far as is
// known.
func (l *locker) work(ctx context.Context, key, session string, howLong time.Duration) bool {
	for end := time.Now().Add(howLong); time.Now().Before(end) && ctx.Err() == nil; l.rest() {
		if granted, err := l.write(key, session); err == nil && !granted {
			return false
		}
	}
	return true
}

// write writes to the register of a lock that the session is thought to hold.
func (l *locker) write(key, session string) (bool, error) {
	o := lockOp{Client: l.id, Kind: put, Key: key, Session: session, Call: l.since()}
	status, text, err := l.ask("PUT", "/v1/txn", fmt.Sprintf(`[{"KV": {"Verb": "check-session", "Key": %q, "Session": %q}},
		{"KV": {"Verb": "get", "Key": %[1]q}}, {"KV": {"Verb": "set", "Key": %[3]q, "Flags": %[4]d}}]`, key, session, "register/"+key, o.Call))
	o.Return = l.since()
	if err != nil {
		return false, err
	}
	var answer struct {
		Results []struct {
			KV struct{ CreateIndex, LockIndex, ModifyIndex uint64 }
		}
	}
	switch {
	case status == http.StatusConflict && strings.Contains(text, "session"):
	case status == http.StatusOK && json.Unmarshal([]byte(text), &answer) == nil && len(answer.Results) == 3:
		lock := answer.Results[1].KV
		o.Granted, o.Create, o.Locks, o.Modify = true, lock.CreateIndex, lock.LockIndex, answer.Results[2].KV.ModifyIndex
	default:
		return false, errUnknown
	}
	l.note(o)
	return o.Granted, nil
}

// endOfHolder bounds how long `lictor lock` may take to end itself and its command once its lock is lost or is to be given up.
const endOfHolder = 45 * time.Second

// hold runs `lictor lock` at the client agent, works under its lock, and stops the process now and then while its session ends
// and others get the lock. Then it has to notice by itself, and to end its command.
func (l *locker) hold(ctx context.Context, name string) {
	const key = "locks/cli"
	cmd := exec.Command("ip", "netns", "exec", l.c.client.namespace, lictor(), "lock", "-http-addr=127.0.0.1:8500", "-name="+name,
		"-pass-stdin", "-try=30s", key, "echo held; cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Error(err)
		return
	}
	call := l.since()
	if err := cmd.Start(); err != nil {
		l.t.Error(err)
		return
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line == "held\n" {
		l.holding(ctx, cmd, lockOp{Client: l.id, Kind: acquire, Key: key + "/.lock", Call: call, Return: l.since(), Granted: true}, name)
	}
	_ = in.Close()
	late := time.AfterFunc(endOfHolder, func() {
		l.t.Errorf("lictor lock %s has not ended within %s", name, endOfHolder)
		_ = cmd.Process.Kill()
	})
	_ = cmd.Wait() // its exit code tells of the harm that was done
	late.Stop()
	time.Sleep(time.Second)
}

// holding works under the lock of a `lictor lock` that runs.
func (l *locker) holding(ctx context.Context, cmd *exec.Cmd, o lockOp, name string) {
	for end := time.Now().Add(10 * time.Second); o.Session == "" && time.Now().Before(end) && ctx.Err() == nil; l.rest() {
		o.Session = l.named(name)
	}
	if o.Session == "" {
		return
	}
	l.note(o)
	l.work(ctx, o.Key, o.Session, 3*time.Second)
	if l.random.IntN(2) == 0 {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	l.work(ctx, o.Key, o.Session, 2*time.Second)
	// Under this harm a TTL is hardly ever over, as each new leader gives it whole again. So the session ends at once.
	_, _, _ = l.ask("PUT", "/v1/session/destroy/"+o.Session, "")
	lost := false
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; l.rest() {
		// Its command believes that it holds the lock. When the lock delay of 15s is over another gets it.
		if granted, err := l.write(o.Key, o.Session); err == nil && !granted {
			lost = true
		}
	}
	l.mu.Lock()
	l.stops++
	if lost {
		l.lost++
	}
	l.mu.Unlock()
	_ = cmd.Process.Signal(syscall.SIGCONT)
}

// named finds a session by its name.
func (l *locker) named(name string) string {
	_, text, err := l.ask("GET", "/v1/session/list?consistent", "")
	var all []struct{ ID, Name string }
	if err != nil || json.Unmarshal([]byte(text), &all) != nil {
		return ""
	}
	for _, s := range all {
		if s.Name == name {
			return s.ID
		}
	}
	return ""
}

func saveLocks(file string, all []lockOp) error {
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
