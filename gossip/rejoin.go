package gossip

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/serf/serf"
)

// rejoinSample is how many of the members of before are tried at a time: enough that islands find each other however many
// members they have, and few enough that a thousand dead ones cost nothing.
const rejoinSample = 10

// rejoinAfter are the pauses before each try. The longest are for hosts that take their time to come up again.
var rejoinAfter = []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// remembered reads from serf's snapshot the addresses of the members that were alive when it was written, by name. A file
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
