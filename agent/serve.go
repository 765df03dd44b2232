package agent

import (
	"context"
	"fmt"
	"io"
	"slices"

	"lictor/ca"
	"lictor/kvreplication"
	"lictor/rpc"
	"lictor/view"
)

// Methods that are not calls on a domain: names are part of the protocol.
const (
	fetchMethod   = "View.Fetch"       // the answer to a query, once
	followMethod  = "View.Follow"      // the answer to a query, again and again
	leaderMethod  = "Servers.Leader"   // a stream of the ids of who leads, "" while nobody does
	saveMethod    = "Snapshot.Save"    // a transfer
	restoreMethod = "Snapshot.Restore" // a transfer
)

// Answer implements rpc.Handler: calls of other agents.
func (s *server) Answer(ctx context.Context, r *rpc.Request) ([]byte, error) {
	abroad := s.agent.route.abroad(r.Header)
	if r.Peer.Stranger && !slices.Contains(introducing, r.Method) {
		return nil, errStranger
	}
	if r.Method == fetchMethod && abroad && r.Hops > 0 {
		return s.federation.call(ctx, r.Header, r.Method, r.Args, rpc.Traits{Repeatable: true})
	}
	if r.Method == fetchMethod {
		if err := s.pace(r, true); err != nil {
			return nil, err
		}
		q := new(view.Ask)
		if err := rpc.Decode(r.Args, q); err != nil {
			return nil, fmt.Errorf("a query that cannot be read: %w", err)
		}
		p, err := s.agent.views.Answer(ctx, r.Header, q)
		if err != nil {
			return nil, err
		}
		return p.MarshalMsg(nil)
	}
	kind, ok := s.registry.Traits(r.Method)
	if !ok {
		return nil, rpc.Errorf(rpc.NotImplemented, "unknown method %q", r.Method)
	}
	if kind.Servers && !r.Peer.Server {
		return nil, errNotServer
	}
	if !r.Peer.Server || !kind.Servers && !r.Direct { // servers among themselves are not held up
		if err := s.pace(r, kind.Repeatable); err != nil {
			return nil, err
		}
	}
	if err := s.toPrimary(ctx, &r.Header, r.Method, r.Args); err != nil {
		return nil, err
	}
	if s.agent.route.abroad(r.Header) {
		return s.federation.call(ctx, r.Header, r.Method, r.Args, kind)
	}
	var reply []byte
	if here := kind.Anywhere || r.Direct; here || s.node.Leads() {
		var err error
		if reply, err = s.answer(ctx, r.Header, r.Method, r.Args); here || !noLeader(err) { // it may just have ceased to lead
			return reply, err
		}
	}
	err := s.toLeader(ctx, kind, func(ctx context.Context, t rpc.Target) (err error) {
		if t.ID == s.agent.id {
			reply, err = s.answer(ctx, r.Header, r.Method, r.Args)
			return err
		}
		h := r.Header
		h.Direct = true
		reply, err = s.agent.route.pool.Call(ctx, t, h, r.Method, r.Args)
		return err
	})
	return reply, err
}

// introducing are the methods that who has no certificate yet may call.
var introducing = []string{ca.SignMethod.Name, ca.IntroduceMethod.Name}

// What callers are told whose certificate does not allow a call.
var (
	errStranger  = rpc.Errorf(rpc.PermissionDenied, "Permission denied: a certificate is needed for all but the calls that ask for one")
	errNotServer = rpc.Errorf(rpc.PermissionDenied, "Permission denied: the call is for servers, and the certificate is not that of one")
)

// answer carries out an encoded call on this server.
func (s *server) answer(ctx context.Context, h rpc.Header, method string, args []byte) ([]byte, error) {
	az, err := s.agent.resolve(ctx, h.Token)
	if err != nil {
		return nil, err
	}
	return s.registry.Answer(ctx, az, method, args)
}

// Stream implements rpc.Handler.
func (s *server) Stream(ctx context.Context, r *rpc.Request, send func([]byte) error) error {
	if r.Peer.Stranger {
		return errStranger
	}
	if s.agent.route.abroad(r.Header) && (r.Hops > 0 || r.Method != followMethod) {
		return s.federation.stream(ctx, r.Header, r.Method, r.Args, send)
	}
	switch r.Method {
	case followMethod:
		if err := s.pace(r, true); err != nil {
			return err
		}
		q := new(view.Ask)
		if err := rpc.Decode(r.Args, q); err != nil {
			return fmt.Errorf("a query that cannot be read: %w", err)
		}
		return s.agent.views.Stream(ctx, r.Header, q, func(p *view.Packed) error {
			body, err := p.MarshalMsg(nil)
			if err != nil {
				return err
			}
			return send(body)
		})
	case leaderMethod:
		return s.tellLeader(ctx, send)
	case kvreplication.FollowMethod:
		return s.feed(ctx, r, send)
	}
	return rpc.Errorf(rpc.NotImplemented, "unknown stream %q", r.Method)
}

// tellLeader sends who leads, now and after each change.
func (s *server) tellLeader(ctx context.Context, send func([]byte) error) error {
	for told, first := "", true; ; first = false {
		changed := s.agent.route.roster.next()
		_, id := s.node.Leader()
		if first || id != told {
			if err := send([]byte(id)); err != nil {
				return err
			}
			told = id
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Transfer implements rpc.Handler.
func (s *server) Transfer(ctx context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
	switch r.Method {
	case saveMethod:
		return s.serveSave(ctx, r, reply)
	case restoreMethod:
		return s.Restore(ctx, r.Header, body, reply)
	}
	return rpc.Errorf(rpc.NotImplemented, "unknown transfer %q", r.Method)
}
