package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/serf/serf"
)

const (
	// insistInterval is how often an agent that has moved tells somebody where it is now, insistFor how long it goes on
	// after it last heard of its old address.
	insistInterval = time.Second
	insistFor      = 5 * time.Second
)

// insist makes an agent known that has come back under a new address while the others still believe it at the old one.
// They take the new one only when the old one has been found dead, and what this agent told them before that is lost:
// without insisting, it would be up to chance when it tells them next. It runs until the context ends.
func (p *Pool) insist(ctx context.Context, s *serf.Serf) {
	ticker := time.NewTicker(insistInterval)
	ticker.Stop()
	var until time.Time
	for {
		select {
		case <-p.guard.moved:
			if until.IsZero() {
				ticker.Reset(insistInterval)
			}
			until = time.Now().Add(insistFor)
		case <-ticker.C:
			p.tell(s)
			if time.Now().After(until) {
				ticker.Stop()
				until = time.Time{}
			}
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

// tell exchanges all it knows with a living member, and so hears whether that one still has the old address. What goes
// wrong is tried again.
func (p *Pool) tell(s *serf.Serf) {
	var living []serf.Member
	for _, m := range s.Members() {
		if m.Status == serf.StatusAlive && m.Name != p.cfg.memberName() {
			living = append(living, m)
		}
	}
	if len(living) == 0 {
		return
	}
	m := memberOf(living[rand.IntN(len(living))])
	if _, err := s.Memberlist().Join([]string{m.Name + "/" + m.AddrPort().String()}); err != nil {
		p.log.Debug("member not told of the new address", "member", m.Name, "error", err)
	}
}
