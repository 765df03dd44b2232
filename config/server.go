package config

import "time"

// Server is whether this agent is a server, and how servers first find together.
type Server struct {
	Server          bool          `config:"server" debug:"ServerMode"`                        // run as a server
	Bootstrap       bool          `config:"bootstrap" debug:"Bootstrap"`                      // start a cluster alone; bootstrap_expect 1 means the same
	BootstrapExpect int           `config:"bootstrap_expect" debug:"BootstrapExpect"`         // number of servers to wait for before the cluster starts
	ReadReplica     bool          `config:"read_replica" debug:"ReadReplica"`                 // a server that has no vote
	Name            string        `config:"server_name" debug:"ServerName"`                   // name in this server's certificate
	Protocol        int           `config:"protocol" debug:"RPCProtocol"`                     // version of the protocol between agents
	RejoinAgeMax    time.Duration `config:"server_rejoin_age_max" debug:"ServerRejoinAgeMax"` // how long a server may be away and still come back with its data
}

func (s *Server) check(r *report, n *Node) {
	if n.DevMode && !r.isSet("bootstrap") {
		s.Bootstrap = s.Server && s.BootstrapExpect == 0
	}
	if s.BootstrapExpect < 0 {
		r.refuse("bootstrap_expect", "is %d, but must be 0 or more", s.BootstrapExpect)
	}
	if s.Bootstrap && !s.Server {
		r.refuse("bootstrap", "needs server = true")
	}
	if s.BootstrapExpect > 0 {
		s.checkExpect(r, n)
	}
	if s.ReadReplica && !s.Server {
		r.refuse("read_replica", "needs server = true")
	}
	if s.Protocol < 2 || s.Protocol > 3 {
		r.refuse("protocol", "is %d, but must be 2 or 3", s.Protocol)
	}
	if s.RejoinAgeMax < 6*time.Hour {
		r.refuse("server_rejoin_age_max", "is %s, but must be 6h or more", s.RejoinAgeMax)
	}
	if s.Bootstrap && !n.DevMode && r.isSet("bootstrap") {
		r.warn("bootstrap = true: set it on no second server of this datacenter, or there will be two clusters")
	}
}

func (s *Server) checkExpect(r *report, n *Node) {
	switch {
	case n.DevMode && s.BootstrapExpect > 1:
		r.refuse("bootstrap_expect", "cannot be more than 1 with -dev")
	case !s.Server:
		r.refuse("bootstrap_expect", "needs server = true")
	case s.Bootstrap:
		r.refuse("bootstrap_expect", "cannot be used together with bootstrap = true")
	case s.BootstrapExpect == 1:
		r.warn("bootstrap_expect = 1 is the same as bootstrap = true")
		s.Bootstrap, s.BootstrapExpect = true, 0
	case s.BootstrapExpect == 2:
		r.warn("bootstrap_expect = 2: a cluster of two servers survives the loss of neither; three are better")
	case s.BootstrapExpect%2 == 0:
		r.warn("bootstrap_expect = %d: an even number of servers survives no more losses than one server less", s.BootstrapExpect)
	}
}
