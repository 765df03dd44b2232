package rpc

import "net"

// arrivals are connections that have not said yet what they speak, in order for each address. Of one address there are
// only so many: who holds connections open and says nothing loses the oldest, while others from the same address, who
// greet at once, get through.
type arrivals struct {
	most int
	open map[string][]net.Conn
}

func (a *arrivals) add(conn net.Conn) {
	if a.open == nil {
		a.open = map[string][]net.Conn{}
	}
	host := hostOf(conn.RemoteAddr())
	all := append(a.open[host], conn)
	if len(all) > a.most {
		all[0].Close()
		all[0] = nil
		all = all[1:]
	}
	a.open[host] = all
}

func (a *arrivals) remove(conn net.Conn) {
	host := hostOf(conn.RemoteAddr())
	all := a.open[host]
	for i, c := range all {
		if c == conn {
			all = append(all[:i], all[i+1:]...)
			break
		}
	}
	if a.open[host] = all; len(all) == 0 {
		delete(a.open, host)
	}
}

func (a *arrivals) close() {
	for _, all := range a.open {
		for _, conn := range all {
			conn.Close()
		}
	}
}
