package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// exposition hands all series to the Prometheus library when it scrapes. It keeps none of its own.
type exposition struct {
	r    *Registry
	from *prometheus.Registry
	help func() map[string]string
}

func newExposition(r *Registry) *exposition {
	e := &exposition{r: r, from: prometheus.NewRegistry(), help: sync.OnceValue(helpTexts)}
	e.from.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

// Prometheus answers scrapes: all series and those of the Go runtime and the process. What cannot be shown (two names
// that become one) is left out and does not harm the rest.
func (r *Registry) Prometheus() http.Handler {
	return promhttp.HandlerFor(r.exposition.from, promhttp.HandlerOpts{
		ErrorHandling:      promhttp.ContinueOnError,
		DisableCompression: true,
	})
}

// WritePrometheus writes what Prometheus answers.
func (r *Registry) WritePrometheus(w io.Writer) error {
	families, err := r.exposition.from.Gather()
	if len(families) == 0 && err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}

// Describe says nothing: names are not known beforehand.
func (e *exposition) Describe(chan<- *prometheus.Desc) {}

// Collect sends all series that the filter shows.
func (e *exposition) Collect(to chan<- prometheus.Metric) {
	r := e.r
	r.eachGauge(func(id identity, value float64) {
		desc, values := e.describe(id, e.gaugeName(id.name))
		send(to, desc)(prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, values...))
	})
	for _, c := range r.counters.list() {
		if r.shows(c.identity, false) {
			desc, values := e.describe(c.identity, r.fullName(c.name))
			send(to, desc)(prometheus.NewConstMetric(desc, prometheus.CounterValue, c.read(false).sum, values...))
		}
	}
	r.intervalMu.Lock()
	defer r.intervalMu.Unlock()
	for _, s := range r.samples.list() {
		if r.shows(s.identity, false) {
			e.summary(to, s)
		}
	}
}

// summary sends a sample; its quantiles are those of the running interval and the one before.
func (e *exposition) summary(to chan<- prometheus.Metric, s *Sample) {
	now := s.read()
	recent := s.last.spread.with(now.since(s.at))
	quantiles := map[float64]float64{}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		quantiles[q] = recent.quantile(q)
	}
	desc, values := e.describe(s.identity, e.r.fullName(s.name))
	send(to, desc)(prometheus.NewConstSummary(desc, now.count, now.sum, quantiles, values...))
}

// gaugeName leaves the host's name out unless the configuration was made for Consul's Prometheus form: a scraper knows
// whom it scrapes, and no dashboard is written for names that differ from host to host.
func (e *exposition) gaugeName(name string) string {
	if e.r.cfg.PrometheusRetention > 0 {
		return e.r.hostName(name)
	}
	return e.r.fullName(name)
}

func (e *exposition) describe(id identity, shown string) (desc *prometheus.Desc, values []string) {
	names := make([]string, len(id.labels))
	values = make([]string, len(id.labels))
	for i, l := range id.labels {
		names[i], values[i] = prometheusName(l.Name), strings.ToValidUTF8(l.Value, "�")
	}
	help := e.help()[id.name]
	if help == "" {
		help = id.name
	}
	return prometheus.NewDesc(prometheusName(shown), help, names, nil), values
}

func send(to chan<- prometheus.Metric, desc *prometheus.Desc) func(prometheus.Metric, error) {
	return func(m prometheus.Metric, err error) {
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		to <- m
	}
}

// prometheusName replaces what a name may not hold, as dots and dashes, by underscores.
func prometheusName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':':
			return c
		}
		return '_'
	}, name)
}
