package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"lictor/acl"
)

// Monitor delivers log messages as they are written, one a line, until cancel is called.
type Monitor func(level string, json bool) (lines <-chan []byte, cancel func(), err error)

var logLevels = []string{"trace", "debug", "info", "warn", "err", "error"}

// agentMonitor answers GET /v1/agent/monitor, with ?loglevel and ?logjson.
func (s *Server) agentMonitor(w http.ResponseWriter, r *http.Request) (any, error) {
	ctx, end, err := s.entitled(r, acl.Agent, s.Node, acl.Read)
	if err != nil {
		return nil, err
	}
	defer end()
	q := parameters(r)
	level := strings.ToLower(q.Get("loglevel"))
	if level == "" {
		level = "info"
	}
	if !slices.Contains(logLevels, level) {
		return nil, badRequest("Unknown log level: " + q.Get("loglevel"))
	}
	lines, cancel, err := s.Monitor(level, q.Has("logjson"))
	if err != nil {
		return nil, err
	}
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	out.Flush()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return written, nil
			}
			if _, err := w.Write(line); err != nil {
				return written, nil
			}
			if err := out.Flush(); err != nil {
				return written, nil
			}
		case <-ctx.Done():
			return written, nil
		case <-s.Ends:
			return written, nil
		}
	}
}
