package rpc

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// The first byte of a connection to port 8300 says what it speaks.
const (
	ProtocolRaft byte = 1
)

// handshakeTimeout bounds how long a new connection may wait with its first byte.
const handshakeTimeout = 5 * time.Second

// A Mux shares one listener between several protocols. Connections that do not name one of them are closed.
type Mux struct {
	listener net.Listener
	log      *slog.Logger
	branches map[byte]*branch
	mu       sync.Mutex // guards pending
	pending  map[net.Conn]bool
	running  sync.WaitGroup
	closed   chan struct{}
	once     sync.Once
}

// NewMux takes over the listener. Serve starts it, once all protocols are known.
func NewMux(l net.Listener, log *slog.Logger) *Mux {
	return &Mux{listener: l, log: log, branches: map[byte]*branch{}, pending: map[net.Conn]bool{}, closed: make(chan struct{})}
}

// Protocol is a listener of the connections whose first byte is b, which has been read when Accept returns them.
func (m *Mux) Protocol(b byte) net.Listener {
	br := &branch{mux: m, conns: make(chan net.Conn)}
	m.branches[b] = br
	return br
}

// Serve accepts connections in the background until Close.
func (m *Mux) Serve() {
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		for {
			conn, err := m.listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				m.log.Warn("failed to accept a connection", "error", err)
				select {
				case <-time.After(50 * time.Millisecond):
					continue
				case <-m.closed:
					return
				}
			}
			m.running.Add(1)
			go m.route(conn)
		}
	}()
}

// route reads the first byte and hands the connection over.
func (m *Mux) route(conn net.Conn) {
	defer m.running.Done()
	if !m.track(conn) {
		return
	}
	var first [1]byte
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	_, err := io.ReadFull(conn, first[:])
	m.untrack(conn)
	br := m.branches[first[0]]
	if err != nil || br == nil {
		conn.Close()
		return
	}
	conn.SetReadDeadline(time.Time{})
	select {
	case br.conns <- conn:
	case <-m.closed:
		conn.Close()
	}
}

func (m *Mux) track(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.closed:
		conn.Close()
		return false
	default:
		m.pending[conn] = true
		return true
	}
}

func (m *Mux) untrack(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pending, conn)
}

// Close closes the listener and the connections that have not named a protocol, and waits for the Mux's goroutines.
func (m *Mux) Close() error {
	var err error
	m.once.Do(func() {
		m.mu.Lock()
		close(m.closed)
		for conn := range m.pending {
			conn.Close()
		}
		m.mu.Unlock()
		err = m.listener.Close()
	})
	m.running.Wait()
	return err
}

// A branch is the listener of one protocol.
type branch struct {
	mux   *Mux
	conns chan net.Conn
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.mux.closed:
		return nil, net.ErrClosed
	}
}

// Close does nothing: the Mux owns the listener.
func (b *branch) Close() error { return nil }

func (b *branch) Addr() net.Addr { return b.mux.listener.Addr() }
