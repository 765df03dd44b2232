package rpc

import (
	"net"
	"sync"
)

// A census counts the open connections of each remote address.
type census struct {
	most int        // of one address; 0 means no limit
	mu   sync.Mutex // guards open
	open map[string]int
}

// admit returns the connection, which leaves the census when it is closed; or it closes it and returns nil, if its
// address has as many as it may.
func (c *census) admit(conn net.Conn) net.Conn {
	if c.most <= 0 {
		return conn
	}
	client := hostOf(conn.RemoteAddr())
	c.mu.Lock()
	full := c.open[client] >= c.most
	if !full {
		if c.open == nil {
			c.open = map[string]int{}
		}
		c.open[client]++
	}
	c.mu.Unlock()
	if full {
		conn.Close()
		return nil
	}
	return &counted{Conn: conn, leave: sync.OnceFunc(func() { c.leave(client) })}
}

func (c *census) leave(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[client]--; c.open[client] <= 0 {
		delete(c.open, client)
	}
}

// hostOf is the address without its port.
func hostOf(a net.Addr) string {
	switch a := a.(type) {
	case nil:
		return ""
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().String()
	default:
		if host, _, err := net.SplitHostPort(a.String()); err == nil {
			return host
		}
		return a.String()
	}
}

// A counted connection is part of a census.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
