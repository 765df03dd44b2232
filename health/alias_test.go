package health

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lictor/catalog"
)

func TestJudge(t *testing.T) {
	row := func(service, status, name, output string) *catalog.Check {
		return &catalog.Check{ServiceID: service, Status: status, Name: name, Output: output}
	}
	web, node := AliasQuery{Node: "n1", Service: "web"}, AliasQuery{Node: "n1"}
	tests := []struct {
		name           string
		query          AliasQuery
		checks         []*catalog.Check
		status, output string
	}{
		{"none", web, nil, "passing", "No checks found."},
		{"passing", web, []*catalog.Check{row("web", "passing", "a", "x")}, "passing", "All checks passing."},
		{"critical", web, []*catalog.Check{row("web", "passing", "a", "x"), row("web", "critical", "b", "down")}, "critical", `Aliased check "b" failing: down`},
		{"warning", web, []*catalog.Check{row("web", "warning", "a", "so so"), row("web", "passing", "b", "")}, "warning", `Aliased check "a" failing: so so`},
		{"critical after warning", web, []*catalog.Check{row("web", "warning", "a", ""), row("web", "critical", "b", "down")}, "critical", `Aliased check "b" failing: down`},
		{"of the node", web, []*catalog.Check{row("", "critical", "disk", "full")}, "critical", `Aliased check "disk" failing: full`},
		{"of another service", web, []*catalog.Check{row("db", "critical", "a", "")}, "passing", "No checks found."},
		{"node alone", node, []*catalog.Check{row("db", "critical", "a", ""), row("", "passing", "b", "")}, "passing", "All checks passing."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.query.judge(AliasState{Checks: tt.checks, Found: true}), tt.status, tt.output)
		})
	}
	expect(t, web.judge(AliasState{}), "critical", "Service web could not be found on node n1")
	expect(t, AliasQuery{Service: "web"}.judge(AliasState{Node: "n1"}), "critical", "Service web could not be found on node n1")
}

// A source answers from a channel: each answer stands until the next one is there.
type source struct {
	queries chan AliasQuery
	answers chan func() (AliasState, error)
}

func (s source) Aliased(ctx context.Context, q AliasQuery) (AliasState, error) {
	s.queries <- q
	select {
	case a := <-s.answers:
		return a()
	case <-ctx.Done():
		return AliasState{}, ctx.Err()
	}
}

func TestAliasFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := source{make(chan AliasQuery, 100), make(chan func() (AliasState, error), 1)}
		s := New(Config{Alias: src})
		defer s.Stop()
		var j journal
		changed := make(chan struct{})
		answer := func(status string) {
			old, now := changed, make(chan struct{})
			changed = now
			src.answers <- func() (AliasState, error) {
				return AliasState{Checks: []*catalog.Check{{Name: "a", Status: status}}, Found: true, Changed: now}, nil
			}
			close(old)
		}
		d := &catalog.CheckDefinition{AliasNode: "n2", AliasService: "web", Token: "secret"}
		add(t, s, Check{ID: "al", Definition: d, Report: j.report})
		answer("passing")
		j.expect(t, "passing: All checks passing.")
		if q := <-src.queries; q != (AliasQuery{"n2", "web", "secret", "al"}) {
			t.Errorf("asked for %+v", q)
		}
		answer("passing") // nothing new
		j.expect(t)
		answer("critical")
		j.expect(t, `critical: Aliased check "a" failing: `)
		s.Remove("al")
		answer("passing")
		j.expect(t)
	})
}

func TestAliasRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := source{make(chan AliasQuery, 1000), make(chan func() (AliasState, error), 1000)}
		s := New(Config{Alias: src})
		defer s.Stop()
		var j journal
		for range 1000 {
			src.answers <- func() (AliasState, error) { return AliasState{}, errors.New("no server") }
		}
		add(t, s, Check{ID: "al", Definition: &catalog.CheckDefinition{AliasNode: "n2"}, Report: j.report})
		time.Sleep(time.Hour)
		j.expect(t, "critical: no server")
		if n := len(src.queries); n < 60 || n > 70 {
			t.Errorf("asked %d times in an hour, want about once a minute", n)
		}
	})
}
