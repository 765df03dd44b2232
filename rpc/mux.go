package rpc

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Limits bound what strangers can hold of a Mux. What is zero gets the default.
type Limits struct {
	Handshake         time.Duration // how long a new connection may take for its greeting; 5 s
	MaxConnsPerClient int           // connections of calls and transfers from one address; 0 means no limit
	MaxGreeting       int           // connections from one address that have not said yet what they speak; 256. The oldest make room.
	Security          Security
}

const defaultGreeting = 256

// defaultHandshake bounds how long a new connection may take before it is of use.
const defaultHandshake = 5 * time.Second

// A Mux shares one listener between several protocols. Connections that do not name one of them, or that mean another
// node, are closed.
type Mux struct {
	listener   net.Listener
	id         string
	log        *slog.Logger
	limits     Limits
	branches   map[byte]*branch
	clients    census
	mu         sync.Mutex // guards pending and complained
	pending    arrivals
	complained time.Time
	running    sync.WaitGroup
	closed     chan struct{}
	once       sync.Once
}

// NewMux takes over the listener of the node with this id. Serve starts it, once all protocols are known.
func NewMux(l net.Listener, id string, log *slog.Logger, limits Limits) *Mux {
	if limits.Handshake <= 0 {
		limits.Handshake = defaultHandshake
	}
	fill(&limits.MaxGreeting, defaultGreeting)
	return &Mux{
		listener: l, id: id, log: log, limits: limits, branches: map[byte]*branch{}, pending: arrivals{most: limits.MaxGreeting},
		clients: census{most: limits.MaxConnsPerClient}, closed: make(chan struct{}),
	}
}

// Protocol is a listener of the connections that speak b. Their greeting has been read when Accept returns them.
func (m *Mux) Protocol(b byte) net.Listener {
	br := &branch{mux: m, conns: make(chan net.Conn), closed: make(chan struct{})}
	m.branches[b] = br
	return br
}

// Serve accepts connections in the background until Close.
func (m *Mux) Serve() {
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		accept(m.listener, m.log, m.closed, func(conn net.Conn) {
			m.running.Add(1)
			go m.route(conn)
		})
	}()
}

// accept takes connections until the listener is closed. When it cannot, for want of descriptors for example, it
// tries again a little later, unless stop is closed.
func accept(l net.Listener, log *slog.Logger, stop <-chan struct{}, take func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err == nil {
			take(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		log.Warn("failed to accept a connection", "error", err)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-stop:
			return
		}
	}
}

// route reads the greeting and hands the connection over.
func (m *Mux) route(conn net.Conn) {
	defer m.running.Done()
	if !m.track(conn) {
		return
	}
	conn.SetDeadline(time.Now().Add(m.limits.Handshake))
	a, err := m.arrive(conn)
	m.untrack(conn)
	if err != nil {
		if errors.Is(err, errPlaintext) || errors.Is(err, errPeer) || errors.Is(err, errGossip) {
			m.complain(conn.RemoteAddr(), err)
		} else {
			m.log.Debug("a connection did not say what it speaks", "from", conn.RemoteAddr(), "error", err)
		}
		conn.Close()
		return
	}
	if a.id != "" && a.id != m.id {
		m.log.Debug("refused a connection that is meant for another node", "from", conn.RemoteAddr(), "node_id", a.id)
		conn.Close()
		return
	}
	conn.SetDeadline(time.Time{})
	conn = a.conn
	if a.protocol == ProtocolCalls || a.protocol == ProtocolBulk {
		admitted := m.clients.admit(conn)
		if admitted == nil {
			m.complain(conn.RemoteAddr(), errCrowd)
			return
		}
		conn = &vouched{Conn: admitted, peer: a.peer}
	}
	m.branches[a.protocol].offer(conn)
}

var errCrowd = errors.New("it is beyond limits.rpc_max_conns_per_client")

// complain tells the operator of a connection that was refused, once a second at most.
func (m *Mux) complain(from net.Addr, why error) {
	m.mu.Lock()
	now := time.Now()
	due := now.Sub(m.complained) >= time.Second
	if due {
		m.complained = now
	}
	m.mu.Unlock()
	if due {
		m.log.Warn("refused a connection", "from", from, "reason", why)
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
		m.pending.add(conn)
		return true
	}
}

func (m *Mux) untrack(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending.remove(conn)
}

// Close closes the listener and the connections that have not named a protocol, and waits for the Mux's goroutines.
func (m *Mux) Close() error {
	var err error
	m.once.Do(func() {
		m.mu.Lock()
		close(m.closed)
		m.pending.close()
		m.mu.Unlock()
		err = m.listener.Close()
	})
	m.running.Wait()
	return err
}

// A branch is the listener of one protocol.
type branch struct {
	mux    *Mux
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// offer hands the connection to whoever accepts, or closes it when nobody will.
func (b *branch) offer(conn net.Conn) {
	select {
	case b.conns <- conn:
	case <-b.closed:
		conn.Close()
	case <-b.mux.closed:
		conn.Close()
	}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case <-b.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.closed:
	case <-b.mux.closed:
	}
	return nil, net.ErrClosed
}

// Close ends Accept; connections of the protocol are then refused. The Mux goes on.
func (b *branch) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func (b *branch) Addr() net.Addr { return b.mux.listener.Addr() }
