package health

import (
	"context"
	"fmt"
	"net"
	"time"

	"lictor/catalog"
)

// udpQuestion is what a UDP check sends. Servers need not understand it: any answer will do.
const udpQuestion = "health"

// A udpProber sends a datagram: any answer in time is passing.
type udpProber struct {
	address string
	timeout time.Duration
}

func newUDP(_ environment, d *catalog.CheckDefinition) (prober, error) {
	return &udpProber{d.UDP, timeout(d, DefaultTimeout)}, nil
}

func (p *udpProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", p.address)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte(udpQuestion)); err != nil {
		return failed(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return failed(err)
	}
	return passing(fmt.Sprintf("UDP connect %s: Success", p.address))
}
