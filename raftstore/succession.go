package raftstore

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// A leader whose process has ended is not missed for a heartbeat time-out, one to two seconds at raft_multiplier 1,
// although its operating system says so at once: it closes the leader's connections, and refuses new ones. A succession
// makes use of that without ever deposing a leader that is merely slow:
//
//   - A connection that ends is a hint, no more. The server that sees it dials the leader. A refusal is the word of the
//     leader's operating system that no process listens there. A process that is stopped, starved or out of reach does
//     not cause one: the connection is accepted on its behalf, or nobody answers, and the time-out decides, as ever.
//   - One server's word is not enough. It asks the voters whether they would vote for it: Raft's own pre-vote. A voter
//     that still has a leader refuses, except that it dials the leader then and there, and does as if it had none if
//     it is refused, too. So a quorum has to be told by the leader's operating system, and a leader that reaches a
//     quorum stays.
//   - Then, and only then, does the server stand, by Raft's own message for a transfer of leadership, which the voters
//     accept whatever they believe of the old leader. That it skips the pre-vote does no harm: there has just been one.
//   - So that they do not split the vote, servers ask one after the other, in the order of their ids; who asks promises
//     its vote to nobody; and who has promised it waits for longer than an election takes. A voter that is asked takes
//     that for a hint of its own: at once if it refuses because it has more of the log, else for the case that the one
//     whom it has promised its vote comes to nothing.
//
// Nothing here can do harm to what is committed: who leads is decided by votes alone, as ever. What a mistake could cost
// is a change of leader.
type succession struct {
	node  *Node
	hints chan struct{} // of capacity 1

	mu       sync.Mutex // guards what follows
	promised time.Time  // when this server last promised its vote
	asking   bool       // asks for promises itself
}

const (
	turn        = 40 * time.Millisecond  // between one server's turn to stand and the next one's
	promiseTime = 300 * time.Millisecond // an election takes less as a rule
	dialTime    = 100 * time.Millisecond // how long a leader may take to be dialed; a refusal comes at once
	lingering   = 50 * time.Millisecond  // a process that ends may accept connections for as long
)

func newSuccession(n *Node) *succession {
	return &succession{node: n, hints: make(chan struct{}, 1)}
}

// suspect takes a hint that the leader's process may have ended.
func (s *succession) suspect() {
	select {
	case s.hints <- struct{}{}:
	default:
	}
}

// run follows hints until Stop.
func (s *succession) run() {
	defer s.node.done.Done()
	for {
		select {
		case <-s.hints:
		case <-s.node.ctx.Done():
			return
		}
		if r, ok := s.reign(); ok && s.ended(r) {
			s.succeed(r)
		}
	}
}

// A reign is one server's leadership, as another one knows it.
type reign struct {
	leader raft.ServerID
	term   uint64
}

// reign is the one that this server lives under, if that is another server's, and this one has a vote.
func (s *succession) reign() (reign, bool) {
	n := s.node
	term := n.raft.CurrentTerm()
	_, leader := n.raft.LeaderWithID()
	return reign{leader, term}, leader != "" && string(leader) != n.ID && n.store.witness.newest.Load().votes(raft.ServerID(n.ID))
}

// lasts tells whether this server still lives under the reign.
func (s *succession) lasts(r reign) bool {
	now, ok := s.reign()
	return ok && now == r
}

// ended tells whether the leader's process has. It looks again and again until the leader has been heard of since the
// hint, or is overdue, as a process that ends may accept connections for a moment.
func (s *succession) ended(r reign) bool {
	begin := time.Now()
	for pause := 2 * time.Millisecond; time.Since(begin) < s.node.HeartbeatTimeout; pause *= 2 {
		if s.gone(r.leader) {
			return true
		}
		if !s.node.sleep(pause) || !s.lasts(r) {
			return false
		}
		if time.Since(begin) >= lingering && s.node.raft.LastContact().After(begin) {
			return false
		}
	}
	return false
}

// gone tells whether no process listens where the leader should be.
func (s *succession) gone(leader raft.ServerID) bool {
	return errors.Is(s.reach(leader), syscall.ECONNREFUSED)
}

// reach tells why the leader cannot be dialed; nil if it can.
func (s *succession) reach(leader raft.ServerID) error {
	address := s.node.address(leader, "")
	if address == "" {
		return errNoAddress
	}
	ctx, cancel := context.WithTimeout(s.node.ctx, dialTime)
	defer cancel()
	conn, err := s.node.Dial(ctx, string(leader), address)
	if err == nil {
		conn.Close()
	}
	return err
}

// succeed stands for election in this server's turn, unless another one has been faster. That the leader could not be
// dialed for another reason than a refusal, as on a host that is short of processors, does not end it: that it can be does.
func (s *succession) succeed(r reign) {
	for rank := s.rank(r); ; rank = 1 + rand.IntN(3) {
		wait := time.Duration(rank) * turn
		if promised := s.sincePromise(); promised < promiseTime {
			wait = max(wait, promiseTime-promised)
		}
		if wait > 0 && !s.node.sleep(wait) || !s.lasts(r) || s.stand(r) || s.reach(r.leader) == nil {
			return
		}
	}
}

// stand stands for election if a quorum has promised its votes, and tells whether it did.
func (s *succession) stand(r reign) bool {
	s.mu.Lock()
	s.asking = time.Since(s.promised) >= promiseTime
	may := s.asking
	s.mu.Unlock()
	if !may {
		return false
	}
	defer func() {
		s.mu.Lock()
		s.asking = false
		s.mu.Unlock()
	}()
	if !s.elected(r) {
		return false
	}
	s.node.Log.Info("the leader's process has ended: this server stands for election", "leader", r.leader, "term", r.term)
	s.node.trans.standNow(r.term)
	return true
}

// rank is this server's place among those that may succeed.
func (s *succession) rank(r reign) int {
	rank := 0
	for _, id := range s.node.store.witness.newest.Load().voters {
		if id != r.leader && id < raft.ServerID(s.node.ID) {
			rank++
		}
	}
	return rank
}

func (s *succession) sincePromise() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.promised)
}

// elected asks for pre-votes and tells whether a quorum has given theirs, while the reign lasts.
func (s *succession) elected(r reign) bool {
	n := s.node
	members := n.store.witness.newest.Load()
	index, term := n.lastEntry()
	ask := &raft.RequestPreVoteRequest{RPCHeader: n.trans.header(), Term: r.term + 1, LastLogIndex: index, LastLogTerm: term}
	answers := make(chan bool, len(members.voters))
	asked := 0
	for _, voter := range members.voters {
		if voter == r.leader || voter == raft.ServerID(n.ID) {
			continue
		}
		asked++
		n.done.Go(func() {
			var answer raft.RequestPreVoteResponse
			err := n.trans.RequestPreVote(voter, "", ask, &answer)
			answers <- err == nil && answer.Granted
		})
	}
	granted := 1 // its own
	limit := time.After(n.ElectionTimeout)
	for range asked {
		select {
		case yes := <-answers:
			if yes {
				granted++
			}
		case <-limit:
			return false
		case <-n.ctx.Done():
			return false
		}
		if granted >= members.quorum() {
			break
		}
	}
	return granted >= members.quorum() && s.lasts(r)
}

// answer answers a candidate whom Raft would refuse because there is a leader, if that leader's process has ended. It
// tells whether it did.
func (s *succession) answer(call raft.RPC, ask *raft.RequestPreVoteRequest) bool {
	r, ok := s.reign()
	candidate := raft.ServerID(ask.ID)
	if !ok || candidate == r.leader || ask.Term <= r.term || s.node.abstains() > 0 || !s.node.store.witness.newest.Load().votes(candidate) || !s.gone(r.leader) || !s.lasts(r) {
		return false
	}
	index, term := s.node.lastEntry()
	ahead := cmp.Or(cmp.Compare(term, ask.LastLogTerm), cmp.Compare(index, ask.LastLogIndex)) > 0
	s.suspect()
	promise := !ahead && s.promise()
	call.Respond(&raft.RequestPreVoteResponse{RPCHeader: s.node.trans.header(), Term: ask.Term, Granted: promise}, nil)
	return true
}

// promise notes a promise, unless this server asks for promises itself.
func (s *succession) promise() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asking {
		s.promised = time.Now()
	}
	return !s.asking
}

// lastEntry is where the log of this server ends.
func (n *Node) lastEntry() (index, term uint64) {
	stats := n.raft.Stats()
	number := func(name string) uint64 {
		v, _ := strconv.ParseUint(stats[name], 10, 64)
		return v
	}
	log, snapshot := number("last_log_index"), number("last_snapshot_index")
	if log >= snapshot {
		return log, number("last_log_term")
	}
	return snapshot, number("last_snapshot_term")
}

// sleep waits, and returns false if Stop has ended it.
func (n *Node) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}
