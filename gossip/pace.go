package gossip

import (
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hashicorp/memberlist"
)

// idlePace is how often memberlist looks around while no other member is known.
const idlePace = 10 * time.Second

// pace slows memberlist's tickers while this agent is alone: seven wake-ups a second of two pools with nobody to talk to
// cost more than all else that an idle agent does. With the first other member the configured timing is back at once,
// before a single tick of it is missed.
//
// memberlist starts its tickers once and does not let go of them, so they are taken from its unexported field. Should
// that field change its name or type, the pool runs at its configured timing always, and a test tells.
type pace struct {
	self    string
	tickers []*time.Ticker
	normal  []time.Duration
	others  map[string]struct{}
	idle    atomic.Bool
}

// newPace takes hold of the tickers. It must be called before the memberlist can be shut down. The pace then belongs to
// one goroutine; idle may be read by any.
func newPace(m *memberlist.Memberlist, self string, t Tuning) *pace {
	p := &pace{self: self, others: map[string]struct{}{}}
	if tickers := tickersOf(m); len(tickers) == 2 { // the probe's first, then the gossip's
		p.tickers, p.normal = tickers, []time.Duration{t.ProbeInterval, t.GossipInterval}
	}
	return p
}

func tickersOf(m *memberlist.Memberlist) []*time.Ticker {
	field := reflect.ValueOf(m).Elem().FieldByName("tickers")
	if !field.IsValid() || field.Type() != reflect.TypeFor[[]*time.Ticker]() {
		return nil
	}
	return append([]*time.Ticker(nil), *(*[]*time.Ticker)(unsafe.Pointer(field.UnsafeAddr()))...)
}

// seen follows the members; the others are those that are not forgotten yet, dead ones too.
func (p *pace) seen(e Event) {
	switch {
	case e.Member.Name == p.self:
	case e.Type == MemberReap:
		delete(p.others, e.Member.Name)
	default:
		p.others[e.Member.Name] = struct{}{}
	}
	p.set(len(p.others) == 0)
}

func (p *pace) set(idle bool) {
	if p.idle.Swap(idle) == idle {
		return
	}
	for i, ticker := range p.tickers {
		d := p.normal[i]
		if idle {
			d = max(d, idlePace)
		}
		ticker.Reset(d)
	}
}
