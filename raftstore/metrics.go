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
}

// written are the timers from the call to the answer, by the command's name. Other commands have none.
func writtenNames() map[string]string {
	return map[string]string{
		"kvs": "kvs.apply", "register": "catalog.register", "deregister": "catalog.deregister", "session": "session.apply",
		"txn": "txn.apply", "prepared-query": "prepared-query.apply",
	}
}

func newDurations(r *telemetry.Registry) *durations {
	d := &durations{persist: r.Sample("fsm.persist")}
	written := writtenNames()
	for _, c := range commands {
		d.apply[c.id] = r.Sample("fsm." + c.name)
		if name := written[c.name]; name != "" {
			d.written[c.id] = r.Sample(name)
		}
	}
	return d
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
