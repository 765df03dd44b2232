package health

import (
	"crypto/tls"
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
	e.transport = newTransport(e.tls(&catalog.CheckDefinition{}))
	return e
}

// newTransport makes a transport that leaves nothing behind: a check should find out whether a connection can be made,
// and one that is not checked any more should not hold connections.
func newTransport(c *tls.Config) *http.Transport {
	return &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        c,
	}
}

// tls is the configuration of a check that speaks TLS.
func (e environment) tls(d *catalog.CheckDefinition) *tls.Config {
	c := e.conf.AgentTLS.Clone()
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if d.TLSServerName != "" {
		c.ServerName = d.TLSServerName
	}
	c.InsecureSkipVerify = d.TLSSkipVerify
	return c
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
