package health

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"lictor/catalog"
)

// An environment is what all checks have in common.
type environment struct {
	conf      Config
	transport *http.Transport // of the HTTP checks that ask for no TLS of their own
	systemctl string          // the command that asks about services of the system
}

func newEnvironment(conf Config) environment {
	e := environment{conf: conf, systemctl: "systemctl"}
	e.transport = newTransport(e.dialer(&catalog.CheckDefinition{}))
	return e
}

// newTransport makes a transport that leaves nothing behind: a check should find out whether a connection can be made,
// and one that is not checked any more should not hold connections.
func newTransport(d tlsDialer) *http.Transport {
	t := &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if d.config != nil {
		t.DialTLSContext = d.DialContext
	}
	return t
}

// tls is the configuration of a check that speaks TLS.
func (e environment) tls(d *catalog.CheckDefinition) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.conf.AgentTLS != nil {
		c = e.conf.AgentTLS().Clone()
	}
	if d.TLSServerName != "" {
		c.ServerName = d.TLSServerName
	}
	c.InsecureSkipVerify = d.TLSSkipVerify
	return c
}

// A tlsDialer makes TLS connections, each with the certificates of its moment.
type tlsDialer struct {
	config func() *tls.Config
}

// dialer makes the connections of a check that speaks TLS, which may offer protocols inside.
func (e environment) dialer(d *catalog.CheckDefinition, offers ...string) tlsDialer {
	return tlsDialer{func() *tls.Config {
		c := e.tls(d)
		c.NextProtos = offers
		return c
	}}
}

// DialContext makes a connection and its handshake.
func (d tlsDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&tls.Dialer{Config: d.config()}).DialContext(ctx, network, address)
}

// limit is how many bytes of output a check may keep.
func (e environment) limit(d *catalog.CheckDefinition) int {
	n := e.conf.OutputMaxSize
	if d.OutputMaxSize > 0 {
		n = min(n, d.OutputMaxSize)
	}
	return n
}

// timeout is how long one run may take.
func timeout(d *catalog.CheckDefinition, otherwise time.Duration) time.Duration {
	if d.Timeout > 0 {
		return time.Duration(d.Timeout)
	}
	return otherwise
}

// interval is the time between two runs.
func interval(d *catalog.CheckDefinition) time.Duration {
	return max(time.Duration(d.Interval), MinInterval)
}
