package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	armon "github.com/armon/go-metrics"
	consul "github.com/hashicorp/consul/api"
	hashicorp "github.com/hashicorp/go-metrics"
	"go.uber.org/goleak"

	"lictor/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRegistry(t *testing.T, change func(*telemetry.Config)) *telemetry.Registry {
	t.Helper()
	cfg := telemetry.DefaultConfig()
	cfg.Hostname = "host1"
	if change != nil {
		change(&cfg)
	}
	r, err := telemetry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r *telemetry.Registry) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.WritePrometheus(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func wantLines(t *testing.T, got string, lines ...string) {
	t.Helper()
	have := strings.Split(got, "\n")
	for _, l := range lines {
		if !slices.Contains(have, l) {
			t.Errorf("no line %q in:\n%s", l, got)
		}
	}
}

func find[T any](list []T, ok func(T) bool) (found T) {
	if i := slices.IndexFunc(list, ok); i >= 0 {
		return list[i]
	}
	return found
}

func counter(s telemetry.Summary, name string) telemetry.SampledValue {
	return find(s.Counters, func(v telemetry.SampledValue) bool { return v.Name == name })
}

func sample(s telemetry.Summary, name string) telemetry.SampledValue {
	return find(s.Samples, func(v telemetry.SampledValue) bool { return v.Name == name })
}

func TestPrometheusText(t *testing.T) {
	r := newRegistry(t, nil)
	r.Counter("raft.apply").Inc()
	r.Counter("raft.apply").Add(4)
	r.Gauge("leader.replication.acl-policies.index", telemetry.Label{Name: "data-center", Value: `a"b`}).Set(2.5)
	r.GaugeFunc("state.nodes", func() float64 { return 3 })
	timer := r.Sample("api.http", telemetry.Label{Name: "method", Value: "GET"}, telemetry.Label{Name: "path", Value: "v1_kv__"})
	for range 100 {
		timer.Duration(2 * time.Millisecond)
	}
	wantLines(t, text(t, r),
		"# HELP consul_raft_apply raft.apply, a counter of raft transactions / interval",
		"# TYPE consul_raft_apply counter",
		"consul_raft_apply 5",
		"# TYPE consul_leader_replication_acl_policies_index gauge",
		`consul_leader_replication_acl_policies_index{data_center="a\"b"} 2.5`,
		"consul_state_nodes 3",
		"# TYPE consul_api_http summary",
		`consul_api_http{method="GET",path="v1_kv__",quantile="0.5"} 2`,
		`consul_api_http{method="GET",path="v1_kv__",quantile="0.9"} 2`,
		`consul_api_http{method="GET",path="v1_kv__",quantile="0.99"} 2`,
		`consul_api_http_sum{method="GET",path="v1_kv__"} 200`,
		`consul_api_http_count{method="GET",path="v1_kv__"} 100`,
		"# TYPE consul_runtime_alloc_bytes gauge",
		"# TYPE go_goroutines gauge",
		"# TYPE process_resident_memory_bytes gauge",
	)
}

func TestHostnameInPrometheusOnlyAsConsulHasIt(t *testing.T) {
	for _, c := range []struct {
		name      string
		retention time.Duration
		disabled  bool
		want      string
	}{
		{"always on", 0, false, "consul_peers 1"},
		{"retention set", time.Minute, false, "consul_host1_peers 1"},
		{"retention set, host name disabled", time.Minute, true, "consul_peers 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry(t, func(cfg *telemetry.Config) {
				cfg.PrometheusRetention, cfg.DisableHostname = c.retention, c.disabled
			})
			r.Gauge("peers").Set(1)
			wantLines(t, text(t, r), c.want)
		})
	}
}

func TestConflictingNamesHarmOnlyThemselves(t *testing.T) {
	r := newRegistry(t, nil)
	r.Counter("a.b").Inc()
	r.Gauge("a-b").Set(1)
	r.Counter("fine").Inc()
	r.Gauge("odd", telemetry.Label{Name: "x", Value: "\xff"}).Set(1)
	wantLines(t, text(t, r), "consul_fine 1", `consul_odd{x="�"} 1`)
}

func TestSummaryOfIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, nil)
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		begin := time.Now()
		r.Counter("raft.apply").Add(3)
		r.Counter("raft.apply").Add(5)
		running := r.Summary()
		if running.Timestamp != begin.Truncate(telemetry.Interval).UTC().String() {
			t.Errorf("timestamp %q", running.Timestamp)
		}
		if got := counter(running, "consul.raft.apply"); got.Sum != 8 {
			t.Errorf("running interval: %+v", got)
		}
		for _, v := range []float64{1, 2, 3} {
			r.Sample("raft.commitTime").Observe(v)
		}
		time.Sleep(telemetry.Interval)
		synctest.Wait()
		s := r.Summary()
		want := telemetry.SampledValue{Name: "consul.raft.apply", Count: 2, Rate: 0.8, Sum: 8, Min: 3, Max: 5, Mean: 4, Stddev: math.Sqrt2}
		got := counter(s, "consul.raft.apply")
		got.Labels = nil
		if !equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		ms := sample(s, "consul.raft.commitTime")
		if ms.Count != 3 || ms.Sum != 6 || ms.Min != 1 || ms.Max != 3 || ms.Mean != 2 || math.Abs(ms.Stddev-1) > 0.05 {
			t.Errorf("sample: %+v", ms)
		}
		r.Counter("raft.apply").Inc()
		if got := counter(r.Summary(), "consul.raft.apply"); got.Sum != 8 {
			t.Errorf("a finished interval changed: %+v", got)
		}
		time.Sleep(telemetry.Interval)
		synctest.Wait()
		s = r.Summary()
		if got := counter(s, "consul.raft.apply"); got.Count != 1 || got.Min != 1 || got.Max != 1 {
			t.Errorf("second interval: %+v", got)
		}
		if got := sample(s, "consul.raft.commitTime"); got.Name != "" {
			t.Errorf("idle sample is shown: %+v", got)
		}
	})
}

func equal(a, b telemetry.SampledValue) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestSummaryJSONIsWhatTheClientReads(t *testing.T) {
	r := newRegistry(t, func(c *telemetry.Config) { c.Hostname = "" })
	r.Counter("rpc.query", telemetry.Label{Name: "dc", Value: "dc1"}).Inc()
	r.Sample("fsm.kvs").Observe(1)
	r.Gauge("odd").Set(math.NaN())
	r.Gauge("huge").Set(math.Inf(1))
	raw, err := json.Marshal(r.Summary())
	if err != nil {
		t.Fatal(err)
	}
	var info consul.MetricsInfo
	if err := json.Unmarshal(raw, &info); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	name := "consul." + host + ".runtime.alloc_bytes"
	if g := find(info.Gauges, func(g consul.GaugeValue) bool { return g.Name == name }); g.Value <= 0 {
		t.Errorf("no gauge %s in %s", name, raw)
	}
	if info.Counters[0].Labels["dc"] != "dc1" {
		t.Errorf("counters %+v", info.Counters)
	}
	if empty := `"Points":[]`; !strings.Contains(string(raw), empty) {
		t.Errorf("no %s in %s", empty, raw)
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, nil)
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		ctx, cancel := context.WithCancel(t.Context())
		var got []telemetry.Summary
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := r.Stream(ctx, func(s telemetry.Summary) error { got = append(got, s); return nil }); err != nil {
				t.Error(err)
			}
		})
		failed := errors.New("gone")
		wait.Go(func() {
			if err := r.Stream(ctx, func(telemetry.Summary) error { return failed }); !errors.Is(err, failed) {
				t.Errorf("got %v", err)
			}
		})
		r.Counter("rpc.query").Inc()
		time.Sleep(3*telemetry.Interval + time.Second)
		cancel()
		wait.Wait()
		if len(got) != 3 || counter(got[0], "consul.rpc.query").Sum != 1 || len(got[1].Counters) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestFilter(t *testing.T) {
	r := newRegistry(t, func(c *telemetry.Config) {
		c.PrefixFilter = []string{"-consul.raft", "+consul.raft.apply", "-consul.host1.members"}
	})
	for _, name := range []string{"raft.apply", "raft.barrier", "rpc.server.call", "kvs.apply"} {
		r.Counter(name).Inc()
	}
	r.Gauge("members.servers").Set(1)
	names := func() string {
		var all []string
		for _, c := range r.Summary().Counters {
			all = append(all, strings.TrimPrefix(c.Name, "consul."))
		}
		return strings.Join(all, " ")
	}
	if got := names(); got != "kvs.apply raft.apply" {
		t.Errorf("shown: %s", got)
	}
	if strings.Contains(text(t, r), "members_servers") {
		t.Error("a hidden gauge is shown")
	}
	if err := r.SetFilter(false, []string{"+consul.rpc.server.call"}); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "rpc.server.call" {
		t.Errorf("shown after a reload: %s", got)
	}
	if err := r.SetFilter(true, []string{"-", "+consul.kvs"}); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "kvs.apply" {
		t.Errorf("shown where an empty prefix hides all: %s", got)
	}
	const want = `prefix_filter: rule "consul.raft" must be a '+' (show) or a '-' (hide) and then a prefix`
	if err := r.SetFilter(true, []string{"consul.raft"}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestLabelSetsAreBounded(t *testing.T) {
	r := newRegistry(t, nil)
	requests := r.Counters("rpc.request", "path")
	for i := range 10_000 {
		requests.With(strings.Repeat("x", i)).Inc()
	}
	shown := r.Summary().Counters
	if len(shown) > 260 {
		t.Fatalf("%d series", len(shown))
	}
	rest := find(shown, func(v telemetry.SampledValue) bool { return v.Labels["path"] == telemetry.Overflow })
	if rest.Count != 10_000-256 {
		t.Errorf("overflow: %+v", rest)
	}
}

func TestNamesAreBounded(t *testing.T) {
	r := newRegistry(t, nil)
	for i := range 6000 {
		r.Counter("serf.events." + strings.Repeat("x", i)).Inc()
	}
	if got := counter(r.Summary(), "consul.other").Count; got != 6000-4096 {
		t.Errorf("overflow %d", got)
	}
}

func TestLibrariesArrive(t *testing.T) {
	r := newRegistry(t, nil)
	if err := r.Install(); err != nil {
		t.Fatal(err)
	}
	armon.IncrCounter([]string{"raft", "apply"}, 2)
	armon.SetGaugeWithLabels([]string{"memberlist", "health", "score"}, 1, []armon.Label{{Name: "network", Value: "lan"}})
	armon.MeasureSince([]string{"raft", "commitTime"}, time.Now().Add(-time.Second))
	hashicorp.IncrCounter([]string{"raft", "apply"}, 1)
	hashicorp.AddSample([]string{"serf", "queue", "An Event"}, 7)
	hashicorp.SetPrecisionGauge([]string{"raft", "peers"}, 3)
	got := text(t, r)
	wantLines(t, got, "consul_raft_apply 3", `consul_memberlist_health_score{network="lan"} 1`,
		"consul_raft_commitTime_count 1", "consul_serf_queue_An_Event_sum 7", "consul_raft_peers 3")
	if ms := sample(r.Summary(), "consul.raft.commitTime").Sum; ms < 1000 || ms > 2000 {
		t.Errorf("time in ms: %v", ms)
	}
	r.Stop()
	armon.IncrCounter([]string{"raft", "apply"}, 1)
	wantLines(t, text(t, r), "consul_raft_apply 3")
}

func TestStopLeavesAnotherInstallation(t *testing.T) {
	first, second := newRegistry(t, nil), newRegistry(t, nil)
	for _, r := range []*telemetry.Registry{first, second} {
		if err := r.Install(); err != nil {
			t.Fatal(err)
		}
	}
	first.Stop()
	armon.IncrCounter([]string{"raft", "apply"}, 1)
	wantLines(t, text(t, second), "consul_raft_apply 1")
	second.Stop()
}

func TestNothingOfNil(t *testing.T) {
	var r *telemetry.Registry
	r.Counter("a").Inc()
	r.Gauge("a").Add(1)
	r.Sample("a").Since(time.Now())
	r.Counters("a", "l").With("v").Add(2)
	r.Samples("a", "l").With("v").Observe(2)
	r.GaugeFunc("a", func() float64 { return 1 })
}

func TestHostMetrics(t *testing.T) {
	r := newRegistry(t, func(c *telemetry.Config) { c.EnableHostMetrics, c.DisableHostname = true, true })
	total := find(r.Summary().Gauges, func(g telemetry.GaugeValue) bool { return g.Name == "consul.host.memory.total" })
	if total.Value <= 0 {
		t.Errorf("got %+v", total)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := newRegistry(t, nil)
	paths := r.Samples("api.http", "method", "path")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 5000 {
				paths.With("GET", "v1_status_leader").Observe(float64(i))
				r.Counter("rpc.query").Inc()
				r.Gauge("rpc.queries_blocking").Add(1)
			}
		})
	}
	wait.Wait()
	wantLines(t, text(t, r), `consul_api_http_count{method="GET",path="v1_status_leader"} 20000`,
		"consul_rpc_query 20000", "consul_rpc_queries_blocking 20000")
}

func TestHandlesAllocateNothing(t *testing.T) {
	r := newRegistry(t, nil)
	c, g, s := r.Counter("rpc.query"), r.Gauge("rpc.queries_blocking"), r.Sample("fsm.kvs")
	paths := r.Samples("api.http", "method", "path")
	method, path := "GET", "v1_kv__"
	got := testing.AllocsPerRun(100, func() {
		c.Inc()
		c.Add(7)
		g.Add(1)
		s.Observe(0.25)
		paths.With(method, path).Observe(0.5)
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
