package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Security is how connections are encrypted. Its zero value is plaintext, in which everybody is trusted.
type Security struct {
	// Incoming is how connections are accepted that begin with TLS; nil refuses them.
	Incoming *tls.Config
	// Stranger is how those are accepted that have no certificate yet; nil refuses them.
	Stranger *tls.Config
	// Required tells, for each connection, whether plaintext is refused. Nil never does.
	Required func() bool
	// Server tells why whoever has connected is not to be taken for a server; the state is nil in plaintext. Raft is for
	// servers only. Nil takes everybody for one.
	Server func(*tls.ConnectionState) error
	// Gossip tells why whoever has connected over TLS may not gossip here. Nil lets nobody.
	Gossip func(*tls.ConnectionState) error
}

// A Peer is what is known of who makes a call.
type Peer struct {
	Address string // of its host
	// Server tells that it has proven to be a server, or that nobody has to prove it.
	Server bool
	// Stranger tells that it has no certificate, though one is required.
	Stranger bool
}

var (
	errPlaintext = errors.New("it is not encrypted, and tls.internal_rpc.verify_incoming is set")
	errPeer      = errors.New("Raft is for servers")
	errGossip    = errors.New("gossip on this port is for servers, over TLS")
)

// An arrival is a connection that has said what it speaks.
type arrival struct {
	conn     net.Conn
	protocol byte
	id       string
	peer     Peer
}

// arrive reads what a connection speaks, and begins TLS where it asks for that. The deadline is set by the caller.
func (m *Mux) arrive(conn net.Conn) (*arrival, error) {
	s := &m.limits.Security
	first, err := readProtocol(conn)
	if err != nil {
		return nil, err
	}
	a := &arrival{conn: conn, protocol: first}
	var state *tls.ConnectionState
	switch {
	case first == protocolTLS && s.Incoming != nil:
		state, err = a.encrypt(s.Incoming)
	case first == protocolStranger && s.Stranger != nil:
		a.peer.Stranger = true
		state, err = a.encrypt(s.Stranger)
	case s.Required != nil && s.Required():
		return nil, errPlaintext
	}
	if err != nil {
		return nil, err
	}
	if m.branches[a.protocol] == nil || a.peer.Stranger && a.protocol != ProtocolCalls {
		return nil, errProtocol
	}
	var refused error
	if s.Server != nil {
		refused = s.Server(state)
	}
	a.peer.Address = hostOf(conn.RemoteAddr())
	a.peer.Server = refused == nil && !a.peer.Stranger
	if a.protocol == ProtocolRaft && !a.peer.Server {
		return nil, fmt.Errorf("%w: %w", errPeer, refused)
	}
	if a.protocol == ProtocolGossip {
		if state == nil || s.Gossip == nil {
			return nil, errGossip
		}
		if err := s.Gossip(state); err != nil {
			return nil, fmt.Errorf("%w: %w", errGossip, err)
		}
	}
	a.id, err = readName(a.conn)
	return a, err
}

// encrypt goes on inside TLS.
func (a *arrival) encrypt(c *tls.Config) (*tls.ConnectionState, error) {
	conn := tls.Server(a.conn, c)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	var err error
	if a.protocol, err = readProtocol(conn); err != nil {
		return nil, err
	}
	a.conn = conn
	state := conn.ConnectionState()
	return &state, nil
}

// Encrypt begins TLS on a connection that was dialled, before it is greeted. It closes nothing. A stranger has no
// certificate yet, and may make introducing calls only.
func Encrypt(ctx context.Context, conn net.Conn, c *tls.Config, stranger bool) (net.Conn, error) {
	first := protocolTLS
	if stranger {
		first = protocolStranger
	}
	end, _ := ctx.Deadline()
	if err := conn.SetWriteDeadline(end); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{first}); err != nil {
		return nil, err
	}
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, conn.SetWriteDeadline(time.Time{})
}

// A vouched connection is one whose peer is known.
type vouched struct {
	net.Conn
	peer Peer
}

// peerOf is who is at the other end. A connection that did not come through a Mux is trusted.
func peerOf(conn net.Conn) Peer {
	if k, ok := conn.(*vouched); ok {
		return k.peer
	}
	return Peer{Server: true}
}
