package health

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"

	"lictor/catalog"
)

const h2PingSuccess = "HTTP2 ping was successful"

// An h2pingProber makes an HTTP/2 connection and sends a ping: an answer in time is passing.
type h2pingProber struct {
	address string
	timeout time.Duration
	dialer  dialer
}

func newH2Ping(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &h2pingProber{address: d.H2PING, timeout: timeout(d, DefaultTimeout), dialer: &net.Dialer{}}
	if d.H2PingUseTLS == nil || *d.H2PingUseTLS {
		c := env.tls(d)
		c.NextProtos = []string{http2.NextProtoTLS}
		p.dialer = &tls.Dialer{Config: c}
	}
	return p, nil
}

func (p *h2pingProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(p.timeout))
	h2, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(conn)
	if err != nil {
		return failed(fmt.Errorf("speak HTTP/2 with %s: %w", p.address, err))
	}
	defer h2.Close()
	if err := h2.Ping(ctx); err != nil {
		return failed(fmt.Errorf("ping %s over HTTP/2: %w", p.address, err))
	}
	return passing(h2PingSuccess)
}
