package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Target is a node that can be called.
type Target struct {
	ID         string // "" is whoever answers at the address
	Address    string // host:port
	Datacenter string // in which it is; "" is the caller's own
}

// PoolConfig says how a Pool reaches other nodes. What is zero gets the default.
type PoolConfig struct {
	Dial        func(ctx context.Context, t Target) (net.Conn, error) // opens a connection; the pool greets
	Log         *slog.Logger
	Sentinels   []error       // errors that arrive as these very values if they have the same code and text
	DialTimeout time.Duration // until a connection is open and greeted; 3 s
	Keepalive   time.Duration // silence after which a connection with calls is probed; two more and it is dead; 2 s
	Idle        time.Duration // how long a connection stays without calls; 2 min
	Window      int           // bytes of messages of a stream that may wait here before the sender has to; 256 KiB
	MaxReply    int           // bytes of the longest answer and of the longest message of a stream; 256 MiB
}

const (
	defaultDialTimeout = 3 * time.Second
	defaultIdle        = 2 * time.Minute
	defaultWindow      = 256 << 10
	defaultMaxReply    = 256 << 20
	failureTime        = 50 * time.Millisecond // how long a failure to dial answers for
)

// A Pool makes calls to other nodes, over one connection to each.
type Pool struct {
	config   PoolConfig
	buffers  *sync.Pool
	waitings sync.Pool // of *waiting
	ctx      context.Context
	cancel   context.CancelFunc // ends dials and transfers

	mu      sync.RWMutex // guards what follows
	peers   map[Target]*peer
	stopped bool
	running sync.WaitGroup // connections and transfers; none is added once stopped
}

// A peer is a target with one attempt to connect to it and what has come of it. One goroutine dials and then reads.
type peer struct {
	target Target
	cancel context.CancelFunc // of the dial
	ready  chan struct{}      // closed when conn or err is set, which then never change
	conn   *outbound
	err    error
}

// NewPool opens no connection yet. Stop ends it.
func NewPool(c PoolConfig) *Pool {
	c.Log = orDiscard(c.Log)
	fill(&c.DialTimeout, defaultDialTimeout)
	fill(&c.Keepalive, defaultKeepalive)
	fill(&c.Idle, defaultIdle)
	fill(&c.Window, defaultWindow)
	fill(&c.MaxReply, defaultMaxReply)
	c.Window, c.MaxReply = min(c.Window, maxCredit/2), min(c.MaxReply, maxCredit/2)
	p := &Pool{config: c, buffers: newBuffers(), peers: map[Target]*peer{}}
	p.waitings.New = func() any { return &waiting{done: make(chan struct{}, 1)} }
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Call makes a call and blocks until it is answered. It returns the error of ctx when ctx ends first; the callee is told.
// The answer belongs to the caller. Arguments must not change until Call returns.
func (p *Pool) Call(ctx context.Context, t Target, h Header, method string, args []byte) ([]byte, error) {
	head := head{Header: h, method: method}
	if err := head.prepare(ctx); err != nil {
		return nil, err
	}
	for {
		pe, err := p.peer(ctx, t)
		if err != nil {
			return nil, err
		}
		reply, err := pe.conn.call(ctx, &head, args)
		if errors.Is(err, errGone) {
			p.remove(pe)
			continue
		}
		return reply, err
	}
}

// Stream makes a call that is answered with many messages. It does not wait for the first. The stream ends when ctx does.
func (p *Pool) Stream(ctx context.Context, t Target, h Header, method string, args []byte) (*Stream, error) {
	head := head{Header: h, method: method, window: uint32(p.config.Window)}
	if err := head.prepare(ctx); err != nil {
		return nil, err
	}
	for {
		pe, err := p.peer(ctx, t)
		if err != nil {
			return nil, err
		}
		s, err := pe.conn.stream(ctx, &head, args)
		if errors.Is(err, errGone) {
			p.remove(pe)
			continue
		}
		return s, err
	}
}

// Reach blocks until t shows that it is there: by anything that comes on the connection that there is, or by its hello on a new
// one. It returns a ConnError if there is no way to connect, and the error of ctx when ctx ends first. It says nothing about
// calls: who is in reach may take as long as it likes to answer them.
func (p *Pool) Reach(ctx context.Context, t Target) error {
	for {
		pe, err := p.peer(ctx, t)
		if err != nil {
			return err
		}
		err = pe.conn.link.reach(ctx)
		if errors.Is(err, errGone) {
			p.remove(pe)
			continue
		}
		return err
	}
}

// peer returns the peer of t when its connection is there.
func (p *Pool) peer(ctx context.Context, t Target) (*peer, error) {
	p.mu.RLock()
	pe := p.peers[t]
	p.mu.RUnlock()
	if pe == nil {
		var err error
		if pe, err = p.open(t); err != nil {
			return nil, err
		}
	}
	select {
	case <-pe.ready:
	default:
		select {
		case <-pe.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if pe.err != nil {
		return nil, &ConnError{Target: t, Err: pe.err}
	}
	return pe, nil
}

// open returns the peer of t, and begins to connect if there is none.
func (p *Pool) open(t Target) (*peer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, &ConnError{Target: t, Err: errStopped}
	}
	if pe := p.peers[t]; pe != nil {
		return pe, nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.config.DialTimeout)
	pe := &peer{target: t, cancel: cancel, ready: make(chan struct{})}
	p.peers[t] = pe
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		p.connect(ctx, pe)
	}()
	return pe, nil
}

// connect connects to the peer and serves the connection until it ends.
func (p *Pool) connect(ctx context.Context, pe *peer) {
	defer pe.cancel()
	conn, frames, err := p.dial(ctx, pe.target, ProtocolCalls)
	if err == nil {
		discardOnClose(conn)
		pe.conn = newOutbound(p, pe, conn, frames)
	}
	if pe.err = err; !p.settle(pe) {
		if err == nil {
			conn.Close()
		}
		return
	}
	if err == nil {
		pe.conn.link.run()
		return
	}
	select {
	case <-time.After(failureTime):
	case <-p.ctx.Done():
	}
	p.remove(pe)
}

// discardOnClose lets the operating system forget what it has not sent yet when the connection is closed. Otherwise a call
// that was given up because the network was cut would arrive, and be carried out, when the network is back.
func discardOnClose(conn net.Conn) {
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	if c, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = c.SetLinger(0) // at worst it is sent after all
	}
}

// settle tells what has come of the attempt to connect. It reports false if that is no longer wanted.
func (p *Pool) settle(pe *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(pe.ready)
	wanted := p.peers[pe.target] == pe
	if !wanted {
		pe.conn, pe.err = nil, errForgotten
	}
	return wanted
}

// dial opens a connection and exchanges hellos.
func (p *Pool) dial(ctx context.Context, t Target, protocol byte) (net.Conn, *frameReader, error) {
	conn, err := p.config.Dial(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	frames, err := introduce(ctx, conn, protocol, t.ID)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, frames, nil
}

// introduce greets who has been dialled and exchanges hellos.
func introduce(ctx context.Context, conn net.Conn, protocol byte, id string) (*frameReader, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if err := Greet(conn, protocol, id); err != nil {
		return nil, err
	}
	if _, err := conn.Write(hello()); err != nil {
		return nil, err
	}
	frames := newFrameReader(conn)
	f, err := frames.next()
	if err != nil {
		return nil, fmt.Errorf("refused: %w", eof(err))
	}
	if err := checkHello(f); err != nil {
		return nil, err
	}
	return frames, conn.SetDeadline(time.Time{})
}

// remove forgets a peer, so that the next call connects anew.
func (p *Pool) remove(pe *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peers[pe.target] == pe {
		delete(p.peers, pe.target)
	}
}

// Forget closes the connection to t, whose calls fail. It is for targets that are known to be gone; the next call
// connects anew all the same.
func (p *Pool) Forget(t Target) {
	p.mu.RLock()
	pe := p.peers[t]
	p.mu.RUnlock()
	if pe != nil {
		p.remove(pe)
		pe.end(errForgotten)
	}
}

// end ends the connection, or the attempt to get one.
func (pe *peer) end(err error) {
	pe.cancel()
	select {
	case <-pe.ready:
		if pe.conn != nil {
			pe.conn.link.fail(err)
		}
	default: // will find that it is not wanted
	}
}

// Stop ends all calls, streams and transfers and waits for the pool's goroutines.
func (p *Pool) Stop() {
	p.mu.Lock()
	p.stopped = true
	peers := p.peers
	p.peers = map[Target]*peer{}
	p.mu.Unlock()
	p.cancel()
	for _, pe := range peers {
		pe.end(errStopped)
	}
	p.running.Wait()
}
