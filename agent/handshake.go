package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// shaken is a listener whose connections have their TLS handshake behind them, each in its own time: one that is slow
// holds up nobody, and has only so long.
type shaken struct {
	net.Listener
	clients  *clients
	config   *tls.Config
	patience time.Duration
	log      *slog.Logger
	crowd    chan struct{} // holds who is told that there are too many of them
	ready    chan net.Conn
	failed   chan error
	closed   chan struct{}
	once     sync.Once
	running  sync.WaitGroup
}

// crowdMost bounds the handshakes that are made only to say that there are too many connections.
const crowdMost = 16

func newShaken(l net.Listener, c *clients, config *tls.Config, patience time.Duration, log *slog.Logger) *shaken {
	if patience <= 0 {
		patience = headerTimeout
	}
	s := &shaken{Listener: l, clients: c, config: config, patience: patience, log: log, crowd: make(chan struct{}, crowdMost),
		ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	s.running.Go(s.take)
	return s
}

// take takes connections until the listener fails or is closed.
func (s *shaken) take() {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			select {
			case s.failed <- err:
				var again interface{ Temporary() bool }
				if errors.As(err, &again) && again.Temporary() {
					continue
				}
			case <-s.closed:
			}
			return
		}
		s.running.Go(func() { s.shake(conn) })
	}
}

// shake makes the handshake and hands the connection over, or ends it.
func (s *shaken) shake(conn net.Conn) {
	admitted := s.clients.enter(conn)
	if !admitted {
		select {
		case s.crowd <- struct{}{}:
			defer func() { <-s.crowd }()
		default:
			conn.Close()
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.closed:
			cancel()
		case <-stop:
		}
	}()
	secure := tls.Server(conn, s.config)
	err := secure.HandshakeContext(ctx)
	switch {
	case err != nil:
		s.log.Debug("no TLS handshake, so the connection is closed", "from", conn.RemoteAddr(), "error", err)
		plainly(err)
	case !admitted:
		secure.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(secure, tooMany)
		secure.Close()
	default:
		select {
		case s.ready <- secure:
			return
		case <-s.closed:
		}
	}
	if admitted {
		s.clients.leave(conn)
	}
	conn.Close()
}

// plainly answers those who speak HTTP where TLS is wanted.
func plainly(err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil {
		return
	}
	switch string(record.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET":
		record.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(record.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
}

// Accept waits for a connection whose handshake is done.
func (s *shaken) Accept() (net.Conn, error) {
	select {
	case conn := <-s.ready:
		return conn, nil
	case err := <-s.failed:
		return nil, err
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener and the handshakes under way.
func (s *shaken) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		err = s.Listener.Close()
	})
	s.running.Wait()
	return err
}
