package health

import (
	"context"
	"fmt"
	"net"
	"time"

	"lictor/catalog"
)

// A dialer makes TCP connections, with TLS or without.
type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A tcpProber makes a connection: that it can be made is passing.
type tcpProber struct {
	address string
	timeout time.Duration
	dialer  dialer
}

func newTCP(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &tcpProber{address: d.TCP, timeout: timeout(d, DefaultTimeout), dialer: &net.Dialer{}}
	if d.TCPUseTLS {
		p.dialer = env.dialer(d)
	}
	return p, nil
}

func (p *tcpProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return failed(err)
	}
	conn.Close()
	return passing(fmt.Sprintf("TCP connect %s: Success", p.address))
}
