package watch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// reply is one answer of a fake agent. Without a body the agent has no such thing.
type reply struct {
	index string
	body  string
	err   error
}

// fakeAgent gives one reply after the other, and then none until the context ends.
type fakeAgent struct {
	replies []reply
	asked   []string // the index of each request
}

func (a *fakeAgent) Ask(ctx context.Context, q Question) (Answer, error) {
	known := q.Hash
	if q.Index > 0 {
		known = strconv.FormatUint(q.Index, 10)
	}
	a.asked = append(a.asked, known)
	if len(a.replies) == 0 {
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	next := a.replies[0]
	a.replies = a.replies[1:]
	answer := Answer{Body: []byte(next.body), Missing: next.body == ""}
	if index, err := strconv.ParseUint(next.index, 10, 64); err == nil {
		answer.Index = index
	} else {
		answer.Hash = next.index
	}
	return answer, next.err
}

func TestChangesAreReportedOnce(t *testing.T) {
	const red, blue = `[{"Key":"a","Value":"cmVk"}]`, `[{"Key":"a","Value":"Ymx1ZQ=="}]`
	for _, c := range []struct {
		name    string
		query   Query
		replies []reply
		want    []string // index and a word of each change
		asked   string
	}{
		{"changes", Query{Type: "key", Key: "a"}, []reply{{"5", red, nil}, {"6", blue, nil}}, []string{"5 cmVk", "6 Ymx1"}, ",5,6"},
		{"timeouts", Query{Type: "key", Key: "a"}, []reply{{"5", red, nil}, {"5", red, nil}, {"5", red, nil}}, []string{"5 cmVk"}, ",5,5,5"},
		{"index alone", Query{Type: "key", Key: "a"}, []reply{{"5", red, nil}, {"7", red, nil}, {"8", blue, nil}}, []string{"5 cmVk", "8 Ymx1"}, ",5,7,8"},
		{"state restored", Query{Type: "key", Key: "a"}, []reply{{"50", red, nil}, {"3", red, nil}, {"3", red, nil}, {"4", blue, nil}},
			[]string{"50 cmVk", "4 Ymx1"}, ",50,,3,4"},
		{"no index", Query{Type: "key", Key: "a"}, []reply{{"", red, nil}, {"", red, nil}, {"", blue, nil}}, []string{"0 cmVk", "0 Ymx1"}, ",,,"},
		{"deleted", Query{Type: "key", Key: "a"}, []reply{{"5", red, nil}, {"6", `[]`, nil}}, []string{"5 cmVk", "6 null"}, ",5,6"},
		{"agent away", Query{Type: "key", Key: "a"}, []reply{{"5", red, nil}, {"", "", errors.New("away")}, {"5", red, nil}, {"6", blue, nil}},
			[]string{"5 cmVk", "6 Ymx1"}, ",5,,5,6"},
		{"hashes", Query{Type: "agent_service", ServiceID: "a"}, []reply{{"aa", `{"ID":1}`, nil}, {"aa", `{"ID":1}`, nil}, {"bb", `{"ID":2}`, nil}, {"", "", nil}},
			[]string{`0 {"ID":1}`, `0 {"ID":2}`, "0 null"}, ",aa,aa,bb,"},
		{"events", Query{Type: "event"}, []reply{{"900", `[{"ID":"e1"}]`, nil}, {"100", `[{"ID":"e1"},{"ID":"e2"},{"ID":"e3"}]`, nil}, {"100", `[]`, nil}},
			[]string{`900 [{"ID":"e1"}]`, `100 [{"ID":"e2"},{"ID":"e3"}]`}, ",900,100,100"},
		{"events forgotten", Query{Type: "event"}, []reply{{"900", `[{"ID":"e1"}]`, nil}, {"100", `[{"ID":"e7"},{"ID":"e8"}]`, nil}},
			[]string{`900 [{"ID":"e1"}]`, `100 [{"ID":"e7"},{"ID":"e8"}]`}, ",900,100"},
		{"events before", Query{Type: "event"}, []reply{{"900", `[{"ID":"e1"}]`, nil}, {"", "", errors.New("away")}, {"900", `[{"ID":"e1"}]`, nil}},
			[]string{`900 [{"ID":"e1"}]`}, ",900,,900"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &fakeAgent{replies: c.replies}
				w, err := New(a, c.query)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				seen := 0
				err = w.Run(ctx, func(change Change) error {
					index, word, _ := strings.Cut(c.want[min(seen, len(c.want)-1)], " ")
					if got := string(change.JSON); !strings.Contains(got, word) || fmt.Sprint(change.Index) != index {
						t.Errorf("change %d: %d %s, want %s %s", seen, change.Index, got, index, word)
					}
					seen++
					return nil
				}, func(error, time.Duration) {})
				if !errors.Is(err, context.DeadlineExceeded) || seen != len(c.want) {
					t.Errorf("%d changes, %v", seen, err)
				}
				if got := strings.Join(a.asked, ","); got != c.asked {
					t.Errorf("asked for %s, want %s", got, c.asked)
				}
			})
		})
	}
}

func TestWaitsGrowWithFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAgent{}
		for range 10 {
			a.replies = append(a.replies, reply{err: errors.New("away")})
		}
		a.replies = append(a.replies, reply{"1", "{}", nil})
		w, err := New(a, Query{Type: "services"})
		if err != nil {
			t.Fatal(err)
		}
		var waits []time.Duration
		done := errors.New("done")
		err = w.Run(t.Context(), func(Change) error { return done }, func(_ error, d time.Duration) { waits = append(waits, d) })
		if !errors.Is(err, done) || len(waits) != 10 || waits[0] != time.Second || waits[3] != 8*time.Second || waits[9] != 30*time.Second {
			t.Errorf("%v, %v", waits, err)
		}
	})
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		query Query
		want  string // the path and the query, or the error
	}{
		{Query{Type: "key", Key: "a/b"}, "/v1/kv/a/b?"},
		{Query{Type: "keyprefix", Prefix: "a/"}, "/v1/kv/a/?recurse="},
		{Query{Type: "services"}, "/v1/catalog/services?"},
		{Query{Type: "nodes", Filter: "x"}, "/v1/catalog/nodes?filter=x"},
		{Query{Type: "service", Service: "web", Tags: []string{"a", "b"}, PassingOnly: true}, "/v1/health/service/web?passing=1&tag=a&tag=b"},
		{Query{Type: "checks"}, "/v1/health/state/any?"},
		{Query{Type: "checks", State: "critical"}, "/v1/health/state/critical?"},
		{Query{Type: "checks", Service: "web"}, "/v1/health/checks/web?"},
		{Query{Type: "event", Name: "deploy"}, "/v1/event/list?name=deploy"},
		{Query{Type: "connect_roots"}, "/v1/agent/connect/ca/roots?"},
		{Query{Type: "connect_leaf", Service: "web"}, "/v1/agent/connect/ca/leaf/web?"},
		{Query{Type: "agent_service", ServiceID: "web/1"}, "/v1/agent/service/web/1?"},
		{Query{Type: "agent_service"}, "Must specify a single service_id to watch"},
		{Query{}, "Watch type must be specified"},
		{Query{Type: "odd"}, "Unsupported watch type: odd"},
		{Query{Type: "key"}, "Must specify a single key to watch"},
		{Query{Type: "keyprefix"}, "Must specify a single prefix to watch"},
		{Query{Type: "service"}, "Must specify a single service to watch"},
		{Query{Type: "nodes", Key: "a"}, `Invalid parameters: a watch of type "nodes" takes no key`},
		{Query{Type: "checks", Service: "a", State: "any"}, "Cannot specify service and state"},
		{Query{Type: "checks", State: "failing"}, `Invalid state "failing": a check is passing, warning or critical, and any stands for all`},
	} {
		w, err := New(nil, c.query)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = w.question.Path + w.question.Name + "?" + w.question.Query.Encode()
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.query, got, c.want)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for _, q := range []Query{{Type: "key", Key: "a"}, {Type: "keyprefix", Prefix: "a"}, {Type: "services"}, {Type: "event"}} {
		w, err := New(&fakeAgent{replies: []reply{{"1", "no JSON", nil}}}, q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "is not what was expected") {
			t.Errorf("%s: %v", q.Type, err)
		}
	}
}
