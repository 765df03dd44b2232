package raftstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// A stream is Raft's view of the connections that carry it. An address there is "id@address", so that whoever dials
// knows which server is meant; nobody but a stream and a transport gets to see such an address.
type stream struct {
	net.Listener
	advertise net.Addr
	dial      func(ctx context.Context, id, address string) (net.Conn, error)
	ended     func()          // told when a connection ends from its other end; must not block
	ctx       context.Context // ends what is being dialed

	mu     sync.Mutex // guards what follows
	links  map[*link]bool
	closed bool
}

// A link is one connection of a stream.
type link struct {
	net.Conn
	stream  *stream
	inbound bool
}

// join makes an address of a stream.
func join(id raft.ServerID, address string) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "@" + address)
}

// split takes it apart.
func split(joined raft.ServerAddress) (id, address string) {
	at := strings.LastIndexByte(string(joined), '@')
	if at < 0 {
		return "", string(joined)
	}
	return string(joined[:at]), string(joined[at+1:])
}

// Addr is where the other servers reach this one.
func (s *stream) Addr() net.Addr { return s.advertise }

// Dial opens a connection to another server.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	id, plain := split(address)
	conn, err := s.dial(ctx, id, plain)
	if err != nil {
		return nil, err
	}
	return s.keep(&link{Conn: conn, stream: s})
}

// Accept waits for a connection from another server.
func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.keep(&link{Conn: conn, stream: s, inbound: true})
}

func (s *stream) keep(l *link) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Conn.Close()
		return nil, net.ErrClosed
	}
	if s.links == nil {
		s.links = map[*link]bool{}
	}
	s.links[l] = true
	return l, nil
}

// sever ends all connections, so that whoever waits for an answer on one of them does so no longer.
func (s *stream) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		l.Conn.Close()
	}
}

// Close ends all connections for good. The listener is not ours.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.sever()
	return nil
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.inbound && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		l.stream.ended()
	}
	return n, err
}

func (l *link) Close() error {
	l.stream.mu.Lock()
	delete(l.stream.links, l)
	l.stream.mu.Unlock()
	return l.Conn.Close()
}
