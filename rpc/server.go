package rpc

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Request is a call as it arrives.
type Request struct {
	Header
	Method string
	Args   []byte // valid until the handler returns
	Peer   Peer   // who makes the call
}

// A Handler answers calls, each on a goroutine of its own. A ctx ends at the caller's deadline, when the caller cancels
// and when its connection breaks; handlers have to return then. Errors travel as their code and text.
type Handler interface {
	// Answer gives away what it returns: it must never change. It may be shared by many answers.
	Answer(ctx context.Context, r *Request) ([]byte, error)
	// Stream answers with many messages. Send blocks while the caller has no credit, and fails when ctx has ended. A
	// message may be reused when send has returned; send is called by one goroutine at a time.
	Stream(ctx context.Context, r *Request, send func(message []byte) error) error
	// Transfer answers on a connection of its own. Body ends with io.EOF only if it was complete.
	Transfer(ctx context.Context, r *Request, body io.Reader, reply io.Writer) error
}

// ServerConfig says what a Server answers. What is zero gets the default.
type ServerConfig struct {
	Calls, Bulk net.Listener // of Mux.Protocol(ProtocolCalls) and (ProtocolBulk); the server closes them. May be nil.
	Handler     Handler
	Log         *slog.Logger
	Handshake   time.Duration // how long a new connection may take until it is of use; 5 s
	Keepalive   time.Duration // silence after which a connection with calls is probed; two more and it is dead; 2 s
	MaxCalls    int           // calls at once on one connection; 16384
	MaxArgs     int           // bytes of the arguments of one call; 16 MiB
	MaxPending  int           // bytes of the arguments of all calls that are under way on one connection; 64 MiB
}

const (
	defaultKeepalive  = 2 * time.Second
	defaultMaxCalls   = 16 << 10
	defaultMaxArgs    = 16 << 20
	defaultMaxPending = 64 << 20
)

// A Server answers calls.
type Server struct {
	config  ServerConfig
	buffers *sync.Pool
	stopped chan struct{}
	running sync.WaitGroup // listeners, connections and workers
	workers workers

	mu    sync.Mutex // guards conns, and stopped against them
	conns map[served]bool
}

// A served connection is one that a Server has to end.
type served interface {
	run()
	// cancel ends the calls that are under way and refuses others.
	cancel()
	// finish waits for the calls and ends the connection.
	finish()
}

// NewServer answers nothing yet: see Serve.
func NewServer(c ServerConfig) *Server {
	c.Log = orDiscard(c.Log)
	fill(&c.Handshake, defaultHandshake)
	fill(&c.Keepalive, defaultKeepalive)
	fill(&c.MaxCalls, defaultMaxCalls)
	fill(&c.MaxArgs, defaultMaxArgs)
	fill(&c.MaxPending, max(defaultMaxPending, c.MaxArgs))
	s := &Server{config: c, buffers: newBuffers(), stopped: make(chan struct{}), conns: map[served]bool{}}
	s.workers = workers{calls: make(chan *call), stopped: s.stopped, running: &s.running}
	return s
}

// fill sets what is not set.
func fill[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// Serve accepts connections in the background until Stop.
func (s *Server) Serve() {
	s.listen(s.config.Calls, func(conn net.Conn) served { return newInbound(s, conn) })
	s.listen(s.config.Bulk, func(conn net.Conn) served { return newBulkInbound(s, conn) })
}

func (s *Server) listen(l net.Listener, serve func(net.Conn) served) {
	if l == nil {
		return
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		accept(l, s.config.Log, s.stopped, func(conn net.Conn) { s.take(serve(conn)) })
	}()
}

// take runs the connection, or ends it at once if the server has been stopped.
func (s *Server) take(c served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stopped:
		c.cancel()
	default:
		s.conns[c] = true
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		c.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
}

// Stop cancels all calls, waits until their handlers have returned, sends what they have answered and closes the
// connections. Calls that come meanwhile are refused, so that their callers know that they were not begun.
func (s *Server) Stop() {
	s.mu.Lock()
	select {
	case <-s.stopped:
	default:
		close(s.stopped)
	}
	var open []served
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, l := range []net.Listener{s.config.Calls, s.config.Bulk} {
		if l != nil {
			l.Close()
		}
	}
	for _, c := range open {
		c.cancel()
	}
	for _, c := range open {
		c.finish()
	}
	s.running.Wait()
}
