package agent

import (
	"context"
	"net"
	"strconv"
	"time"

	"lictor/gossip"
)

// floodTimeout bounds an attempt to bring a server into the WAN pool.
const floodTimeout = 10 * time.Second

// flood brings a server of this datacenter into the WAN pool, as all of them belong there: who joins one of them has joined
// all.
func (a *Agent) flood(m gossip.Member) {
	if a.wan == nil || !serves(m) || m.Name == a.cfg.Node.Name || m.Meta.Ports.WAN <= 0 {
		return
	}
	own := a.wanTransport()
	if own < m.Meta.Transport && m.Meta.Transport == gossip.OverTLS {
		return // it comes by itself, the way that it wants
	}
	port := m.Meta.Ports.WAN
	if own == gossip.OverTLS {
		port = m.Meta.Ports.Server
	}
	address := m.Name + "." + m.Meta.Datacenter + "/" + net.JoinHostPort(m.Addr.String(), strconv.Itoa(port))
	a.running.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, floodTimeout)
		defer cancel()
		if _, err := a.wan.Join(ctx, []string{address}); err != nil && a.ctx.Err() == nil {
			a.log.Debug("a server of this datacenter is not in the WAN pool yet", "server", m.Name, "error", err)
		}
	})
}
