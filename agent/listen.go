package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lictor/agent/logging"
	"lictor/certs"
	"lictor/config"
	"lictor/httpapi"
)

// headerTimeout bounds how long a client may take for the header of a request.
const headerTimeout = 10 * time.Second

// startHTTP listens for HTTP.
func (a *Agent) startHTTP() error {
	h := &a.cfg.HTTP.Config
	a.http = httpapi.New(a.httpConfig())
	server := &http.Server{
		Handler: a.http, MaxHeaderBytes: h.MaxHeaderBytes, ReadHeaderTimeout: headerTimeout,
		ErrorLog: logging.Standard(a.log.With(logging.Module, "agent.http"), slog.LevelDebug),
	}
	a.conns = &clients{count: map[string]int{}}
	a.conns.limit(a.cfg.Limits.HTTPMaxConns)
	server.ConnState = a.conns.changed
	server.TLSConfig = a.certs.Incoming(certs.HTTPS) // tells the server that HTTP/2 may come
	if len(a.cfg.Network.Endpoints.HTTPS) > 0 && !a.certs.Serves(certs.HTTPS) && !a.autoCert() {
		a.log.Warn("ports.https is open, but there is no certificate to present: set tls.https.cert_file and tls.https.key_file, or those of tls.defaults")
	}
	served, err := a.listenHTTP(server.TLSConfig)
	if err != nil {
		return err
	}
	for _, l := range served {
		a.running.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				a.fail(fmt.Errorf("HTTP at %s: %w", l.Addr(), err))
			}
		})
	}
	a.cleanups.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		a.views.Stop() // ends blocking queries, so that their connections become idle
		if server.Shutdown(ctx) != nil {
			return server.Close()
		}
		return nil
	})
	return nil
}

// listenHTTP opens all listeners of the HTTP API, bounded and, for HTTPS, encrypted.
func (a *Agent) listenHTTP(secure *tls.Config) ([]net.Listener, error) {
	var served []net.Listener
	for i, all := range [][]config.Listen{a.cfg.Network.Endpoints.HTTP, a.cfg.Network.Endpoints.HTTPS} {
		for _, l := range all {
			listener, err := a.listen(l)
			if err != nil {
				return nil, portError([]string{"ports.http", "ports.https"}[i], err)
			}
			a.cleanups.add(func() error { listener.Close(); return nil }) // if the server does not come to serve it
			a.listeners = append(a.listeners, listener)
			var outer net.Listener = &limited{listener, a.conns}
			if i == 1 {
				a.secure = append(a.secure, listener)
				outer = newShaken(listener, a.conns, secure, a.cfg.Limits.HTTPSHandshake, a.log.With(logging.Module, "agent.http"))
				a.cleanups.add(outer.Close)
			}
			served = append(served, outer)
		}
	}
	return served, nil
}

// portError names the key of the configuration that a listener fails for, and says what to do about it.
func portError(key string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: %w: another process listens there; stop it, or choose another port", key, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %w: this host does not have the address", key, err)
	}
	return fmt.Errorf("%s: %w", key, err)
}

// listen opens one listener, TCP or a unix socket with the owner and mode that the configuration asks for.
func (a *Agent) listen(l config.Listen) (net.Listener, error) {
	if l.Network != "unix" {
		return net.Listen(l.Network, l.Address)
	}
	if info, err := os.Stat(l.Address); err == nil && info.Mode()&fs.ModeSocket != 0 && !answers(l.Address) {
		os.Remove(l.Address) // left behind by an agent that was killed
	}
	listener, err := net.Listen("unix", l.Address)
	if err != nil {
		return nil, err
	}
	if err := own(l.Address, &a.cfg.Network.Sockets); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// answers tells whether somebody listens on a unix socket.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func own(path string, s *config.Sockets) error {
	if s.Mode != "" {
		mode, err := strconv.ParseUint(s.Mode, 8, 32)
		if err != nil {
			return fmt.Errorf("unix_sockets.mode: %w", err)
		}
		if err := os.Chmod(path, fs.FileMode(mode)); err != nil {
			return err
		}
	}
	if s.User == "" && s.Group == "" {
		return nil
	}
	uid, err := idOf(s.User, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return fmt.Errorf("unix_sockets.user: %w", err)
	}
	gid, err := idOf(s.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return fmt.Errorf("unix_sockets.group: %w", err)
	}
	return os.Chown(path, uid, gid)
}

// idOf is a numeric id as it stands, or that of a name; -1 for none.
func idOf(name string, look func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	text, err := look(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// clients bounds the connections of each client address.
type clients struct {
	max   atomic.Int64 // 0 is no bound
	mu    sync.Mutex
	count map[string]int // guarded by mu
}

// limited is a listener that answers connections beyond the bound with 429 and closes them.
type limited struct {
	net.Listener
	clients *clients
}

// tooMany is what a client with too many connections is told.
const tooMany = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"

// Accept waits for a connection within the bound.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.clients.enter(conn) {
			return conn, err
		}
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		conn.Write([]byte(tooMany))
		conn.Close()
	}
}

// limit sets the bound, for connections from now on.
func (c *clients) limit(n int) { c.max.Store(int64(max(n, 0))) }

func (c *clients) enter(conn net.Conn) bool {
	host := hostOf(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.max.Load(); most > 0 && int64(c.count[host]) >= most {
		return false
	}
	c.count[host]++
	return true
}

// changed notes the end of a connection.
func (c *clients) changed(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.leave(conn)
	}
}

func (c *clients) leave(conn net.Conn) {
	host := hostOf(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[host]--; c.count[host] <= 0 {
		delete(c.count, host)
	}
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String() // a unix socket: all its clients count together
	}
	return host
}
