package gossip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"

	"lictor/durable"
)

// A roster keeps on the disk who is alive. Serf has a snapshot of that, too, but what it learns in half a second it leaves in
// a buffer until it learns more: an agent that joined a quiet cluster and was killed after an hour remembered nobody.
type roster struct {
	path    string // "" keeps nothing
	changed chan struct{}

	mu   sync.Mutex // guards what follows, and the file
	text string     // that is in it
	left bool
}

// rosterDelay is how long changes are waited for that come together.
const rosterDelay = time.Second

func newRoster(path string) *roster { return &roster{path: path, changed: make(chan struct{}, 1)} }

// note tells that a member has changed. It does not block.
func (r *roster) note() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// keep writes the file after changes, until the context ends. What cannot be written is told, and tried again after the next.
func (r *roster) keep(ctx context.Context, members func() []serf.Member, failed func(error)) {
	for {
		select {
		case <-r.changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(rosterDelay):
		case <-ctx.Done():
			return
		}
		if err := r.write(members()); err != nil {
			failed(err)
		}
	}
}

func (r *roster) write(members []serf.Member) error {
	var lines []string
	for _, m := range members {
		if m.Status == serf.StatusAlive {
			at := memberOf(m)
			lines = append(lines, fmt.Sprintf("alive: %s %s\n", at.Name, at.AddrPort()))
		}
	}
	slices.Sort(lines)
	text := strings.Join(lines, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left || text == r.text {
		return nil
	}
	if err := durable.Replace(r.path, []byte(text), 0o600); err != nil {
		return err
	}
	r.text = text
	return nil
}

// forget removes the file for good: who has left does not come back by itself.
func (r *roster) forget() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
	if err := os.Remove(r.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// before is who was alive when this agent ran last, as serf's snapshot and the roster tell, but for itself.
func (c *Config) before() (map[string]string, error) {
	members, err := remembered(c.snapshotPath(), c.RejoinAfterLeave)
	if err != nil {
		return nil, err
	}
	more, err := remembered(c.rosterPath(), c.RejoinAfterLeave)
	if err != nil {
		return nil, err
	}
	maps.Copy(members, more)
	delete(members, c.memberName())
	return members, nil
}

// rejoinSample is how many of the members of before are tried at a time: enough that islands find each other however many
// members they have, and few enough that a thousand dead ones cost nothing.
const rejoinSample = 10

// rejoinAfter are the pauses before each try. The longest are for hosts that take their time to come up again.
var rejoinAfter = []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// remembered reads from serf's snapshot, or from a roster, the addresses of the members that were alive when it was written, by name. A file
// that is not there has none.
func remembered(path string, rejoinAfterLeave bool) (map[string]string, error) {
	members := map[string]string{}
	if path == "" {
		return members, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return members, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return members, nil // half a line is not yet one
		}
		if err != nil {
			return nil, err
		}
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch at := strings.LastIndexByte(rest, ' '); {
		case kind == "alive" && at > 0:
			members[rest[:at]] = rest[at+1:]
		case kind == "not-alive":
			delete(members, rest)
		case kind == "leave" && !rejoinAfterLeave:
			clear(members)
		}
	}
}

// rejoin seeks members of before that this agent has not heard of since it started. Serf tries one after the other until
// the first answers, once: when all come back at the same time, as after a loss of power, that leaves islands of those that
// found each other, and who was the first of all is alone. It runs until all are known, or the context ends.
func (p *Pool) rejoin(ctx context.Context, s *serf.Serf, before map[string]string) {
	for _, pause := range rejoinAfter {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		for _, m := range s.Members() { // the failed ones serf tries by itself, and who has left has left
			delete(before, m.Name)
		}
		if len(before) == 0 {
			return
		}
		tried := 0
		for name, addr := range before { // in the order of chance
			if tried++; tried > rejoinSample || ctx.Err() != nil {
				break
			}
			if _, err := s.Memberlist().Join([]string{name + "/" + addr}); err != nil {
				p.log.Debug("member of before not found", "member", name, "address", addr, "error", err)
			}
		}
	}
}
