package raftstore

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A transport is Raft's own over TCP, with five things added:
//
//   - Addresses are looked up by the server's id when a message is sent (see provider).
//   - It notes when the leader's messages were sent that a voter has agreed to, for the lease (see lease).
//   - A server that has just started answers no candidate before a lease has passed that it may have been part of.
//   - A voter that can prove that its leader's process is gone says so to candidates (see succession).
//   - That a leader has asked a server to stand, so that voters need not be loyal to it, is only good for the term of
//     that leader. Raft's message does not say which it was, and may be on its way until another one leads.
type transport struct {
	*raft.NetworkTransport
	node  *Node
	wire  *stream
	calls chan raft.RPC // what Raft gets to see
	asked atomic.Uint64 // the last term whose leader has asked this server to stand for election, or has ended
}

func newTransport(n *Node) *transport {
	wire := &stream{Listener: n.Listener, advertise: n.Advertise, dial: n.dialer, ended: n.succession.suspect, ctx: n.ctx}
	return &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: wire, ServerAddressProvider: provider{n}, MaxPool: 3, Timeout: 10 * time.Second, Logger: n.RaftLog,
			// No pipelines: when a follower refuses what came through one, Raft may wait for ever to send more, and
			// the follower gets nothing until the leader changes, which then cannot be stopped. Batches grow instead.
			MaxRPCsInFlight: 1,
		}),
		node: n, wire: wire, calls: make(chan raft.RPC),
	}
}

// Consumer is where Raft takes what other servers ask of it.
func (t *transport) Consumer() <-chan raft.RPC { return t.calls }

// EncodePeer is a server's address as others are told it.
func (t *transport) EncodePeer(id raft.ServerID, address raft.ServerAddress) []byte {
	if id != raft.ServerID(t.node.ID) {
		address = raft.ServerAddress(t.node.address(id, string(address)))
	}
	return []byte(address)
}

// AppendEntries sends entries, or none, to a follower.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	sent := time.Now()
	err := t.NetworkTransport.AppendEntries(id, target, args, answer)
	t.node.lease.note(exchange{
		id: id, term: args.Term, sent: sent, failed: err != nil,
		agrees: err == nil && answer.Success && answer.Term == args.Term, later: err == nil && answer.Term > args.Term,
	}, t.node.store.witness.newest.Load())
	return err
}

// serve hands to Raft what other servers ask of it, until Stop.
func (t *transport) serve() {
	defer t.node.done.Done()
	for {
		select {
		case call := <-t.NetworkTransport.Consumer():
			t.receive(call)
		case <-t.node.ctx.Done():
			return
		}
	}
}

func (t *transport) receive(call raft.RPC) {
	switch args := call.Command.(type) {
	case *raft.RequestVoteRequest:
		if wait := t.node.abstains(); wait > 0 && !args.LeadershipTransfer {
			t.node.done.Go(func() { t.pass(call, wait) })
			return
		}
	case *raft.TimeoutNowRequest:
		t.toStand(call, args)
		return
	case *raft.RequestPreVoteRequest:
		t.node.done.Go(func() {
			if !t.node.succession.answer(call, args) {
				t.pass(call, t.node.abstains())
			}
		})
		return
	}
	t.pass(call, 0)
}

// pass hands a call to Raft after a while.
func (t *transport) pass(call raft.RPC, after time.Duration) {
	if after > 0 {
		select {
		case <-time.After(after):
		case <-t.node.ctx.Done():
		}
	}
	select {
	case t.calls <- call:
	case <-t.node.ctx.Done():
		call.Respond(nil, raft.ErrRaftShutdown)
	}
}

// askToStand makes a server stand for election now, on behalf of the leader of a term. The address in the header, which
// Raft has no use for in this message, is where the term is written.
func (t *transport) askToStand(id raft.ServerID, term uint64) error {
	header := t.header()
	header.Addr = strconv.AppendUint(nil, term, 10)
	return t.TimeoutNow(id, "", &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{})
}

var errNoTerm = errors.New("asked to stand for election, but not in which term")

// toStand passes on that a leader asks this server to stand for election.
func (t *transport) toStand(call raft.RPC, args *raft.TimeoutNowRequest) {
	term, err := strconv.ParseUint(string(args.Addr), 10, 64)
	if err != nil {
		call.Respond(nil, errNoTerm)
		return
	}
	t.asked.Store(term)
	t.pass(call, 0)
}

// standNow makes this server stand for election now, as nobody leads any more in this term.
func (t *transport) standNow(term uint64) {
	t.asked.Store(term)
	t.pass(raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: t.header()}, RespChan: make(chan raft.RPCResponse, 1)}, 0)
}

// RequestVote asks for a vote: from voters that are loyal to a leader only if the leader of the term before has asked
// this server to stand.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, answer *raft.RequestVoteResponse) error {
	if args.LeadershipTransfer && t.asked.Load() != args.Term-1 {
		plain := *args
		plain.LeadershipTransfer = false
		args = &plain
	}
	return t.NetworkTransport.RequestVote(id, target, args, answer)
}

// commit tells Raft that the log is committed up to an index, as if the leader had sent it: it has, as the answer to a
// ReadIndex, where Raft itself would wait for more entries to send it along with, or for a tenth of a second. Only who
// has the very entry believes it, and the entry is of the leader's own term (see Begin).
func (t *transport) commit(upTo ReadPoint) {
	if t.node.raft.CurrentTerm() != upTo.Term || t.node.raft.CommitIndex() >= upTo.Index {
		return
	}
	address, leader := t.node.raft.LeaderWithID() // of that term, or of a later one, in which the message means nothing
	if leader == "" || string(leader) == t.node.ID {
		return
	}
	t.pass(raft.RPC{RespChan: make(chan raft.RPCResponse, 1), Command: &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader), Addr: []byte(address)},
		Term:      upTo.Term, PrevLogEntry: upTo.Index, PrevLogTerm: upTo.Term, LeaderCommitIndex: upTo.Index,
	}}, 0)
}

// header is what this server's own messages begin with.
func (t *transport) header() raft.RPCHeader {
	id := raft.ServerID(t.node.ID)
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: t.EncodePeer(id, t.LocalAddr())}
}

// A provider tells Raft's transport where to dial a server.
type provider struct{ node *Node }

var errNoAddress = errors.New("the address is not known by the id")

// ServerAddr is the server's current address, in the form of a stream.
func (p provider) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	address := p.node.address(id, "")
	if address == "" {
		return "", errNoAddress
	}
	return join(id, address), nil
}

// address is where a server can be reached: what AddressOf says, else what the configuration says, else otherwise.
func (n *Node) address(id raft.ServerID, otherwise string) string {
	if id == raft.ServerID(n.ID) {
		return n.Advertise.String()
	}
	if n.AddressOf != nil {
		if address, ok := n.AddressOf(string(id)); ok {
			return address
		}
	}
	if s, ok := n.store.witness.newest.Load().find(id); ok {
		return string(s.Address)
	}
	return otherwise
}
