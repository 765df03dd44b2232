package gossip

import (
	"testing"

	"github.com/hashicorp/memberlist"
)

// news is a piece of news about a member.
type news struct{ name, text string }

func (n *news) Name() string                          { return n.name }
func (n *news) Message() []byte                       { return []byte(n.text) }
func (n *news) Invalidates(memberlist.Broadcast) bool { return false }
func (n *news) Finished()                             {}

// sent queues news as a member of a small pool does that hears of a suspicion and its refutation, and tells what is sent.
func sent(q *memberlist.TransmitLimitedQueue) map[string]bool {
	q.QueueBroadcast(&news{"b", "b is suspected"})
	q.GetBroadcasts(2, 1400)
	q.QueueBroadcast(&news{"b", "b lives"})
	q.QueueBroadcast(&news{"c", "c lives"})
	got := map[string]bool{}
	for range 20 {
		for _, b := range q.GetBroadcasts(2, 1400) {
			got[string(b)] = true
		}
	}
	return got
}

func TestBallastKeepsNewsFromGettingLost(t *testing.T) {
	queue := func() *memberlist.TransmitLimitedQueue {
		return &memberlist.TransmitLimitedQueue{RetransmitMult: 4, NumNodes: func() int { return 3 }}
	}
	if got := sent(queue()); got["b lives"] {
		t.Error("memberlist loses nothing by itself any more: ballast.go can go")
	}
	q := queue()
	q.QueueBroadcast(make(ballast, 1401))
	if got := sent(q); !got["b lives"] || !got["c lives"] || len(got) != 2 {
		t.Errorf("with ballast %v is sent", got)
	}
	q.Prune(1)
	if q.NumQueued() != 1 {
		t.Errorf("%d pieces left", q.NumQueued())
	}
	simulate(t, func(s *sim) {
		if queue := newsOf(s.start(1, nil).serf.Load().Memberlist()); queue == nil || queue.NumQueued() == 0 {
			t.Error("memberlist's queue is not where it was: see ballast.go")
		}
	})
}
