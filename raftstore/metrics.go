package raftstore

import (
	"time"

	"lictor/telemetry"
)

// durations are the timers of the package. Those of the state machine are on the path of every write, which costs tens
// of microseconds in all: a command costs one reading of the clock, as the end of one is the begin of the next, and one
// observation, together about 60 ns.
type durations struct {
	apply   [256]*telemetry.Sample // in the state machine, by the command's id
	written [256]*telemetry.Sample // from the call to the answer, on the server that leads
	persist *telemetry.Sample
	entry   *telemetry.Sample  // in the state machine, of any command
	fresh   *telemetry.Sample  // until a consistent read is known to be fresh
	barrier *telemetry.Sample  // until a new leader has applied what was committed before
	begun   *telemetry.Counter // such waits
}

// written are the timers from the call to the answer, by the command's name. Other commands have none.
func writtenNames() map[string]string {
	return map[string]string{
		"kvs": "kvs.apply", "register": "catalog.register", "deregister": "catalog.deregister", "session": "session.apply",
		"txn": "txn.apply", "prepared-query": "prepared-query.apply",
	}
}

func newDurations(r *telemetry.Registry) *durations {
	d := &durations{persist: r.Sample("fsm.persist"), entry: r.Sample("raft.fsm.apply"), fresh: r.Sample("rpc.consistentRead"),
		barrier: r.Sample("leader.barrier"), begun: r.Counter("raft.barrier")}
	written := writtenNames()
	for _, c := range commands {
		d.apply[c.id] = r.Sample("fsm." + c.name)
		if name := written[c.name]; name != "" {
			d.written[c.id] = r.Sample(name)
		}
	}
	return d
}

// applied notes how long a command took in the state machine.
func (d *durations) applied(id byte, took time.Duration) {
	d.apply[id].Duration(took)
	d.entry.Duration(took)
}

// gauges tells where this server is.
func (n *Node) gauges(emit telemetry.Emit) {
	leads := 0.0
	if n.Leads() {
		leads = 1
	}
	emit("server.isLeader", leads)
	emit("raft.applied_index", float64(n.raft.AppliedIndex()))
	emit("raft.last_index", float64(n.raft.LastIndex()))
}

// A lap tells the time between two moments.
type lap struct{ last time.Time }

// end tells how long it is since the last end, or since the begin.
func (l *lap) end() time.Duration {
	now := time.Now()
	took := now.Sub(l.last)
	l.last = now
	return took
}
