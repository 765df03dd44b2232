package httpapi

import (
	"encoding/json"
	"net/http"

	"lictor/acl"
	"lictor/telemetry"
)

// agentMetrics answers GET /v1/agent/metrics, in Consul's JSON form or with ?format=prometheus.
func (s *Server) agentMetrics(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Read); err != nil {
		return nil, err
	}
	if parameters(r).Get("format") == "prometheus" {
		s.Metrics.Prometheus().ServeHTTP(w, r)
		return written, nil
	}
	return s.Metrics.Summary(), nil
}

// agentMetricsStream answers GET /v1/agent/metrics/stream: a JSON object for each interval of ten seconds, until the
// client goes away.
func (s *Server) agentMetricsStream(w http.ResponseWriter, r *http.Request) (any, error) {
	ctx, end, err := s.entitled(r, acl.Agent, s.Node, acl.Read)
	if err != nil {
		return nil, err
	}
	defer end()
	w.Header()["Content-Type"] = jsonType
	out := http.NewResponseController(w)
	encoder := json.NewEncoder(w)
	err = s.Metrics.Stream(ctx, func(summary telemetry.Summary) error {
		if err := encoder.Encode(summary); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil {
		s.Log.Debug("a stream of metrics has ended", "error", err)
	}
	return written, nil
}
