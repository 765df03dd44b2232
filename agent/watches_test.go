package agent

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// noted is a handler that adds what it is told to a file.
func noted(file string) string {
	return fmt.Sprintf(`args = ["sh", "-c", "echo $CONSUL_INDEX $(cat) >> %s"]`, file)
}

func (s *subject) lines(file string) []string {
	text, _ := os.ReadFile(file)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// Handlers run for what is there, and for each change; a reload runs again only what has changed.
func TestWatches(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kept, other, late := filepath.Join(dir, "kept"), filepath.Join(dir, "other"), filepath.Join(dir, "late")
	first := fmt.Sprintf(`{ type = "key" key = "a/../b//c" %s }`, noted(kept))
	twice := strings.Replace(noted(other), "args =", "args =", 1)
	s := start(t, t.TempDir(), fmt.Sprintf(`watches = [%s, { type = "event" name = "deploy" %s }]`, first, twice))
	s.eventually("both have run", func() bool { return len(s.lines(kept)) == 1 && len(s.lines(other)) == 1 })
	if got := s.lines(kept)[0]; !strings.HasSuffix(got, " null") {
		t.Errorf("a key that is not there: %s", got)
	}
	s.put("/v1/kv/a%2F%2E%2E%2Fb%2F%2Fc", "x")
	s.eventually("the change is told", func() bool { return len(s.lines(kept)) == 2 })
	if got := s.lines(kept)[1]; !strings.Contains(got, `"Value":"eA=="`) || strings.HasPrefix(got, "0 ") {
		t.Errorf("a key that was written: %s", got)
	}
	s.put("/v1/event/fire/other", "")
	s.put("/v1/event/fire/deploy", "1")
	s.eventually("the event is told", func() bool { return len(s.lines(other)) == 2 })

	s.reloads(fmt.Sprintf(`watches = [%s, { type = "services" %s }]`, first, noted(late)))
	s.eventually("the new one has run", func() bool { return len(s.lines(late)) == 1 })
	s.put("/v1/event/fire/deploy", "2")
	s.put("/v1/kv/a%2F%2E%2E%2Fb%2F%2Fc", "y")
	s.eventually("the old one goes on", func() bool { return len(s.lines(kept)) == 3 })
	if n := len(s.lines(other)); n != 2 {
		t.Errorf("a watch that is gone has run %d times", n)
	}
	s.reloads()
	if n := len(s.watches.running); n != 0 {
		t.Errorf("%d watches run", n)
	}
}

func TestWatchesByHTTP(t *testing.T) {
	noLeaks(t)
	var mu sync.Mutex
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s %t %s", r.Method, r.Header.Get("X-Mine"), r.Header.Get("Content-Type"), r.Header.Get("X-Consul-Index") != "", body))
		if len(got) == 1 {
			http.Error(w, "not today", http.StatusTeapot)
		}
	}))
	t.Cleanup(receiver.Close)
	s := start(t, t.TempDir(), fmt.Sprintf(`watches { type = "keyprefix" prefix = "x/" handler_type = "http"
		http_handler_config { path = "%s/hook" method = "PUT" header { x-mine = ["yes"] } timeout = "10s" } }`, receiver.URL))
	seen := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == n
		}
	}
	s.eventually("the first is told", seen(1))
	s.eventually("its failure is logged", func() bool {
		return strings.Contains(s.log.String(), "418 I'm a teapot") && strings.Contains(s.log.String(), "not today")
	})
	s.put("/v1/kv/x/1", "v")
	s.eventually("the second is told", seen(2))
	if want := `PUT yes application/json true [{"Key":"x/1"`; !strings.HasPrefix(got[1], want) {
		t.Errorf("%s, want %s", got[1], want)
	}
}

// What a handler has started ends with the agent, and at a reload that does not want it any more.
func TestWatchesEnd(t *testing.T) {
	noLeaks(t)
	pid := filepath.Join(t.TempDir(), "pid")
	s := start(t, t.TempDir(), fmt.Sprintf(`watches { type = "nodes" handler = "sleep 1000 & echo $! > %s; wait" }`, pid))
	running := func() string { return strings.Join(s.lines(pid), "") }
	s.eventually("the handler runs", func() bool { return running() != "" })
	begun := time.Now()
	s.reloads()
	if d := time.Since(begun); d > patience/2 {
		t.Errorf("the reload has taken %s", d)
	}
	s.eventually("nothing is left", func() bool {
		stat, err := os.ReadFile("/proc/" + running() + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
