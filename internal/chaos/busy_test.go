//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestBusyCores keeps every core busy for CHAOS_BUSY, such as 10m, while clients write, and counts the changes of the leader.
// There may be none.
func TestBusyCores(t *testing.T) {
	if os.Getenv("CHAOS_BUSY") == "" {
		t.Skip("CHAOS_BUSY is not set")
	}
	c := newCluster(t, workDir(t, "busy"))
	ctx, cancel := context.WithTimeout(t.Context(), duration(t, "CHAOS_BUSY", 0))
	defer cancel()
	for range runtime.NumCPU() {
		spin(t)
	}
	leader, term := c.leader(), c.term(t)
	if leader == nil {
		t.Fatal("nobody leads")
	}
	written, failed, longest := c.write(ctx)
	now, later := c.leader(), c.term(t)
	t.Logf("%d writes, %d failed, the longest took %s; elections: %d", written, failed, longest.Round(time.Millisecond), later-term)
	if now != leader || later != term || failed > 0 {
		t.Errorf("%s led in term %d, the term is %d now, and %d writes failed", leader.name, term, later, failed)
	}
	for _, text := range append(c.ended(), c.suspicious()...) {
		t.Error(text)
	}
}

// write lets eight clients write through all agents in turn until ctx ends.
func (c *cluster) write(ctx context.Context) (written, failed int, longest time.Duration) {
	var mu sync.Mutex // guards the results
	var writing sync.WaitGroup
	for i := range clients {
		writing.Go(func() {
			by, agents := c.network.http(10*time.Second), c.all()
			for n := 0; ctx.Err() == nil; n++ {
				o := op{Kind: put, Key: fmt.Sprintf("busy/%d", i), Value: strconv.Itoa(n)}
				begin := time.Now()
				answer, _, err := ask(by, agents[n%len(agents)], &o)
				mu.Lock()
				longest = max(longest, time.Since(begin))
				if err == nil && answer.StatusCode == http.StatusOK {
					written++
				} else {
					failed++
				}
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	writing.Wait()
	return written, failed, longest
}

// spin keeps a core busy until the test ends.
func spin(t *testing.T) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// term is the term that the first server is in.
func (c *cluster) term(t *testing.T) int {
	t.Helper()
	var self struct {
		Stats struct{ Raft map[string]string }
	}
	_, body, err := c.call("GET", c.servers[0].url()+"/v1/agent/self", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &self); err != nil {
		t.Fatal(err)
	}
	term, err := strconv.Atoi(self.Stats.Raft["term"])
	if err != nil {
		t.Fatal(err)
	}
	return term
}
