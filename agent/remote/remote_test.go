//go:build unix

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const session = "8f5a2c1e-0000-4000-8000-123456789abc"

// fakeStore keeps keys, and one session until it ends.
type fakeStore struct {
	mu   sync.Mutex
	keys map[string]string
	gone bool
}

func (s *fakeStore) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.keys[key]; ok {
		return []byte(v), nil
	}
	return nil, nil
}

func (s *fakeStore) Put(_ context.Context, key string, value []byte, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || id != session {
		return false, nil
	}
	s.keys[key] = string(value)
	return true, nil
}

func (s *fakeStore) Lives(context.Context, string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.gone, nil
}

func (s *fakeStore) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

// told is what the node n has reported: whether it has taken the job, what was printed, and the exit code.
func (s *fakeStore) told() (taken bool, output, exit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	base := "p/" + session + "/n/"
	var names []string
	for key := range s.keys {
		if strings.HasPrefix(key, base+"out/") {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		output += s.keys[name]
	}
	_, taken = s.keys[base+"ack"]
	return taken, output, s.keys[base+"exit"]
}

func start(t *testing.T, job string) (*Runner, *fakeStore) {
	s := &fakeStore{keys: map[string]string{"p/" + session + "/job": job}}
	r := New(s, "n", slog.New(slog.DiscardHandler))
	r.Start(t.Context(), Call{"p", session})
	return r, s
}

func TestJobs(t *testing.T) {
	for _, x := range []struct{ name, job, output, exit string }{
		{"command", `{"Command":"echo a; echo b >&2; exit 3"}`, "a\nb\n", "3"},
		{"args", `{"Args":["echo","a  b"]}`, "a  b\n", "0"},
		{"script", `{"Script":"ZWNobyBoaTsgZXhpdCAx"}`, "hi\n", "1"},
		{"nothing", `{}`, "the job names nothing to run\n", "255"},
		{"no program", `{"Args":["/no/such/program"]}`, "fork/exec /no/such/program: no such file or directory\n", "255"},
		{"killed", `{"Command":"kill -9 $$"}`, "", "255"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r, s := start(t, x.job)
			r.Wait()
			if taken, output, exit := s.told(); !taken || output != x.output || exit != x.exit {
				t.Errorf("%t, %q, %q", taken, output, exit)
			}
		})
	}
}

func TestLongOutputIsCut(t *testing.T) {
	r, s := start(t, `{"Command":"head -c 3000000 /dev/zero | tr '\\0' x"}`)
	r.Wait()
	_, output, exit := s.told()
	if exit != "0" || strings.Count(output, "x") < maxOutput || len(output) > maxOutput+100 || !strings.Contains(output, "is left out") {
		t.Errorf("%d bytes, exit %q", len(output), exit)
	}
}

func TestNoJob(t *testing.T) {
	s := &fakeStore{keys: map[string]string{}}
	r := New(s, "n", slog.New(slog.DiscardHandler))
	r.Start(t.Context(), Call{"p", session})
	r.Wait()
	if taken, _, _ := s.told(); taken {
		t.Error("a job was taken that is not there")
	}
}

// A job ends with its session, and with the agent, and so does what it has started.
func TestJobsEnd(t *testing.T) {
	for _, by := range []string{"session", "agent"} {
		t.Run(by, func(t *testing.T) {
			pid := filepath.Join(t.TempDir(), "pid")
			s := &fakeStore{keys: map[string]string{"p/" + session + "/job": fmt.Sprintf(`{"Command":"sleep 1000 & echo $! > %s; wait"}`, pid)}}
			r := New(s, "n", slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.Start(ctx, Call{"p", session})
			number := ""
			for end := time.Now().Add(20 * time.Second); number == "" && time.Now().Before(end); time.Sleep(time.Millisecond) {
				text, _ := os.ReadFile(pid)
				number = strings.TrimSpace(string(text))
			}
			if by == "session" {
				s.end()
			} else {
				cancel()
			}
			r.Wait()
			if number == "" {
				t.Fatal("the job has not begun")
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // it has been killed, but may not know yet
				stat, err := os.ReadFile("/proc/" + number + "/stat")
				if err != nil || bytes.Contains(stat, []byte(") Z ")) {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("process %q is left: %s", number, stat)
				}
			}
			if _, _, exit := s.told(); exit != "" {
				t.Errorf("exit %s was told", exit)
			}
		})
	}
}

// Who prints faster than reports are taken waits, and goes on once nobody takes them.
func TestUnsentOutputIsBounded(t *testing.T) {
	c := newChunks()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Write(bytes.Repeat([]byte("x"), maxOutput))
	}()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		n := len(c.unsent)
		c.mu.Unlock()
		if n > maxUnsent+chunkSize {
			t.Fatalf("%d bytes are unsent", n)
		}
		if n >= maxUnsent {
			break
		}
	}
	select {
	case <-done:
		t.Error("the writer does not wait")
	default:
	}
	c.stop()
	<-done
}

func FuzzReadCall(f *testing.F) {
	f.Add([]byte(`{"Prefix":"_rexec","Session":"` + session + `"}`))
	f.Add([]byte(`{"Prefix":"","Session":"x"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := ReadCall(payload)
		if err == nil && (c.Prefix == "" || len(c.Prefix) > maxPrefix || len(c.Session) != 36) {
			t.Errorf("%+v", c)
		}
		if err != nil && errors.Unwrap(err) == nil && err.Error() == "" {
			t.Error("an error says nothing")
		}
	})
}
