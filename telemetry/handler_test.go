package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestScrape(t *testing.T) {
	r := newRegistry(t, nil)
	r.Sample("fsm.kvs").Observe(3)
	w := httptest.NewRecorder()
	r.Prometheus().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/agent/metrics?format=prometheus", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	s := families["consul_fsm_kvs"].GetMetric()[0].GetSummary()
	if s.GetSampleCount() != 1 || s.GetSampleSum() != 3 || s.GetQuantile()[0].GetValue() != 3 {
		t.Errorf("got %v", s)
	}
}
