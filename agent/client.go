package agent

import (
	"context"
	"io"

	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// errNoServers is what a client agent answers while it cannot reach a server. The text is Consul's.
var errNoServers = rpc.Errorf(rpc.NoLeader, "No known Consul servers")

// unreachable stands for the servers on an agent that has no way to them: the calls from agent to server come with the
// next version, and until then a client agent gossips and runs checks but has no catalog.
type unreachable struct{ db *state.DB }

// openClient makes what methods and queries go to on a client agent.
func (a *Agent) openClient() error {
	a.log.Warn("this version cannot reach servers over the network yet: the agent gossips and runs checks, " +
		"but whatever needs the servers will fail")
	db, err := state.Open()
	if err != nil {
		return err
	}
	u := unreachable{db}
	a.caller = u
	a.views = view.New(view.Config{Log: u, Datacenter: a.cfg.Node.Datacenter})
	a.cleanups.add(func() error { a.views.Stop(); return nil })
	(&services{}).queries(a.views)
	return nil
}

// Call implements rpc.Caller.
func (unreachable) Call(context.Context, rpc.Header, string, any, any) error { return errNoServers }

// Apply implements state.Log.
func (unreachable) Apply(context.Context, state.Command) (any, error) { return nil, errNoServers }

// Fresh implements state.Log.
func (unreachable) Fresh(context.Context, state.ReadOptions) (state.ReadMeta, error) {
	return state.ReadMeta{}, errNoServers
}

// DB implements state.Log.
func (u unreachable) DB() *state.DB { return u.db }

// noSnapshots is what a client agent has of the servers' state.
type noSnapshots struct{}

// Save implements httpapi.Snapshots.
func (noSnapshots) Save(context.Context, rpc.Header, state.ReadOptions, io.Writer, func(uint64, state.ReadMeta)) error {
	return errNoServers
}

// Restore implements httpapi.Snapshots.
func (noSnapshots) Restore(context.Context, rpc.Header, io.Reader) error { return errNoServers }
