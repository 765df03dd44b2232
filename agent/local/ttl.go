package local

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lictor/catalog"
)

// UpdateCheck sets the state of a TTL check, which then is good for its TTL.
func (s *State) UpdateCheck(ctx context.Context, id, status, output string) error {
	defer s.settle(ctx)
	s.registering.Lock()
	defer s.registering.Unlock()
	d := s.definition(id)
	if d == nil {
		return UnknownCheck(id)
	}
	output = s.cut(output, d.OutputMaxSize)
	if err := s.Runner.SetTTL(id, status, output); err != nil {
		return err
	}
	expires := time.Now().Add(time.Duration(d.TTL))
	file := stateFile{CheckID: id, Status: status, Output: output, Expires: expires.UnixMilli()}
	return s.disk.write(s.disk.statePath(id), &file, false)
}

// definition finds what a check was registered with; nil if there is none.
func (s *State) definition(id string) *catalog.CheckDefinition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.table.check(id); c != nil {
		return c.def
	}
	return nil
}

// cut bounds an output to limit bytes, or to the agent's limit if that is 0. Its words are Consul's.
func (s *State) cut(output string, limit int) string {
	if limit <= 0 {
		limit = s.MaxOutput
	}
	if len(output) <= limit {
		return output
	}
	return fmt.Sprintf("%s ... (captured %d of %d bytes)", strings.ToValidUTF8(output[:limit], ""), limit, len(output))
}
