package raftstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"lictor/state"
)

// stands waits until a server leads by Raft's own account, whatever others know.
func (c *cluster) stands(s *testServer) {
	c.t.Helper()
	c.await(s.ID+" leads", s.Leads)
}

// A leader that has asked another server to stand does not answer under its lease any more: it may have been succeeded
// without its knowledge.
func TestNoLeaseAfterHandingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		old := c.elected()
		c.put("key", "old")
		heir := c.other(old.ID)
		third := c.other(old.ID, heir.ID)
		time.Sleep(time.Second)
		term := old.raft.CurrentTerm()
		old.lease.void(term)
		if err := old.trans.askToStand(raft.ServerID(heir.ID), term); err != nil {
			t.Fatal(err)
		}
		c.isolate(old.ID, true)
		c.stands(heir)
		c.put("key", "new")
		if !old.Leads() {
			t.Fatal("the old leader knows already: nothing is tested")
		}
		if got, err := old.fresh(state.Default, "key"); err == nil {
			t.Errorf("the old leader reads %s", got)
		}
		if got, err := third.fresh(state.Default, "key"); err != nil || got != "new" {
			t.Errorf("the third server reads %s: %v", got, err)
		}
		c.isolate(old.ID, false)
		c.equal()
	})
}

// A voter that starts again helps no candidate while the leader that it has forgotten may count on it.
func TestRestartedVoterAbstains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		old := c.elected()
		c.put("key", "old")
		loyal := c.other(old.ID)
		candidate := c.other(old.ID, loyal.ID)
		c.await("the candidate has all", func() bool { return value(candidate.Node, "key") == "old" })
		c.isolate(old.ID, true)
		id := loyal.ID
		c.kill(id)
		begin := time.Now()
		c.start(id)
		index, term := candidate.lastEntry()
		var answer raft.RequestVoteResponse
		err := candidate.trans.RequestVote(raft.ServerID(id), "", &raft.RequestVoteRequest{
			RPCHeader: candidate.trans.header(), Term: old.raft.CurrentTerm() + 1, LastLogIndex: index, LastLogTerm: term}, &answer)
		if took := time.Since(begin); err != nil || !answer.Granted || took < old.LeaseTimeout {
			t.Errorf("the vote is given: %t, after %s, %v", answer.Granted, took, err)
		}
		c.isolate(old.ID, false)
		c.equal()
	})
}

// What is fresh goes by what is committed, of which another server may know before the leader has applied it.
func TestFreshIsWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		l := c.elected()
		c.put("key", "value")
		committed := l.applied.at.Load()
		l.applied.set(committed - 1)
		if from, err := l.readIndex(t.Context(), ReadIndex{}); err != nil || from.Index != committed {
			t.Errorf("%+v, %v: %d is committed", from, err, committed)
		}
		time.AfterFunc(time.Second, func() { l.applied.set(committed) })
		begin := time.Now()
		if _, err := l.fresh(state.Default, "key"); err != nil || time.Since(begin) < time.Second {
			t.Errorf("the leader answers what is older than others may have: %v", err)
		}
	})
}

// What a leader has asked in its own term does not depose the next one, whenever it arrives.
func TestOldRequestToStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		first := c.elected()
		c.put("key", "value")
		old := first.raft.CurrentTerm()
		if err := first.transfer(t.Context(), Peer{ID: c.other(first.ID).ID}); err != nil {
			t.Fatal(err)
		}
		c.await("another leader", func() bool { l := c.leader(); return l != "" && l != first.ID })
		second := c.at(c.leader())
		third := c.other(first.ID, second.ID)
		term := second.raft.CurrentTerm()
		c.net.cut(second.ID, third.ID, true) // or the second would hear of it in the same moment
		if err := first.trans.askToStand(raft.ServerID(third.ID), old); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if third.Leads() && second.Leads() && second.lease.holds(term) {
				t.Fatal("two leaders with a lease")
			}
			time.Sleep(time.Millisecond)
		}
		c.net.cut(second.ID, third.ID, false)
		args := &raft.TimeoutNowRequest{RPCHeader: first.trans.header()}
		if err := first.trans.TimeoutNow(raft.ServerID(third.ID), "", args, &raft.TimeoutNowResponse{}); err == nil {
			t.Error("a request without a term is followed")
		}
		c.equal()
	})
}

// Handing over loses no write and leaves none uncertain, and is over in a moment.
func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		for range 5 {
			old := c.elected()
			c.put("key", "value")
			c.isolate(c.other(old.ID).ID, true) // one that is out of reach is not asked
			begin := time.Now()
			if err := old.Handover(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.put("key", "later")
			if took := time.Since(begin); took > 300*time.Millisecond || c.leader() == old.ID {
				t.Errorf("%s leads, after %s", c.leader(), took)
			}
			if err := old.Handover(t.Context()); err != nil {
				t.Errorf("a follower hands over: %v", err)
			}
			for id := range c.all() {
				c.isolate(id, false)
			}
			time.Sleep(5 * time.Second)
		}
		c.equal()
	})
	n := open(t, nil)
	defer n.Stop()
	if err := n.Handover(t.Context()); err != nil {
		t.Errorf("a server that is alone: %v", err)
	}
}
