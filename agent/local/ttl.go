package local

import (
	"context"
	"fmt"
	"time"

	"lictor/catalog"
)

// UpdateCheck sets the state of a TTL check, which then is good for its TTL.
func (s *State) UpdateCheck(_ context.Context, id, status, output string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	file, err := s.beat(id, status, output)
	if err != nil {
		return err
	}
	return s.disk.write(s.disk.statePath(id), file, false)
}

// beat sets the state of a TTL check and returns what is to be kept of it.
func (s *State) beat(id, status, output string) (*stateFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.table.check(id)
	if c == nil {
		return nil, UnknownCheck(id)
	}
	if c.row.Type != catalog.TypeTTL {
		return nil, fmt.Errorf("CheckID %q does not have associated TTL", id)
	}
	output = s.cut(output, c.def.OutputMaxSize)
	s.apply(c, status, output)
	s.expect(c)
	expires := time.Now().Add(time.Duration(c.def.TTL))
	return &stateFile{CheckID: id, Status: status, Output: output, Expires: expires.UnixMilli()}, nil
}

// cut bounds an output to limit bytes, or to the agent's limit if that is 0. Its words are Consul's.
func (s *State) cut(output string, limit int) string {
	if limit <= 0 {
		limit = s.MaxOutput
	}
	if len(output) <= limit {
		return output
	}
	return fmt.Sprintf("%s ... (captured %d of %d bytes)", output[:limit], limit, len(output))
}

// expect makes a TTL check critical unless it is heard of within its TTL. The caller holds mu.
func (s *State) expect(c *check) {
	stopTimer(&c.expiry)
	var timer *time.Timer
	timer = s.after(time.Duration(c.def.TTL), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.expiry == timer && s.table.check(c.row.CheckID) == c {
			s.expire(c)
		}
	})
	c.expiry = timer
}

func (s *State) expire(c *check) {
	output := "TTL expired"
	if c.row.Output != "" && c.row.Status != catalog.Critical {
		output += " (last output before timeout follows): " + c.row.Output
	}
	c.expiry = nil
	s.Log.Warn("a check has missed its TTL and is critical now", "check", c.row.CheckID)
	s.apply(c, catalog.Critical, output)
}
