package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"lictor/catalog"
)

const (
	h2PingSuccess = "HTTP2 ping was successful"
	maxH2Frame    = 16 << 10 // bytes, the least that the protocol allows for
)

// An h2pingProber makes an HTTP/2 connection and sends a ping: an answer in time is passing.
type h2pingProber struct {
	address string
	timeout time.Duration
	dialer  dialer
}

func newH2Ping(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &h2pingProber{address: d.H2PING, timeout: timeout(d, DefaultTimeout), dialer: &net.Dialer{}}
	if d.H2PingUseTLS == nil || *d.H2PingUseTLS {
		p.dialer = env.dialer(d, http2.NextProtoTLS)
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
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := ping(conn); err != nil {
		return failed(fmt.Errorf("ping %s over HTTP/2: %w", p.address, err))
	}
	return passing(h2PingSuccess)
}

// ping begins to speak HTTP/2 and waits for the answer to one ping.
func ping(conn io.ReadWriter) error {
	data := [8]byte([]byte("consul\x00\x01"))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	f := http2.NewFramer(conn, conn)
	f.SetMaxReadFrameSize(maxH2Frame)
	if err := errors.Join(f.WriteSettings(), f.WritePing(false, data)); err != nil {
		return err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				continue
			}
			if err := f.WriteSettingsAck(); err != nil {
				return err
			}
		case *http2.PingFrame:
			if frame.IsAck() && frame.Data == data {
				return nil
			}
		case *http2.GoAwayFrame:
			return fmt.Errorf("the server went away: %s", frame.ErrCode)
		}
	}
}
