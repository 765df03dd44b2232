package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage collector runs when the heap has grown by some share of what is in use. Go's own choice, 100%, suits
// neither a small agent nor a large server: with 6 MiB in use a busy server collects all the time (with 24 MiB of room
// a KV write costs a third less CPU, and so does a read), and with 90 MiB in use it takes 90 more that are free for
// nothing. So the heap may grow by half of what is in use, but always by 24 MiB, and by more while that stays below
// 56 MiB. A client agent, of which there is one on every host, makes do with 10 MiB. Who sets GOGC decides for himself.
const (
	leastRoom  = 24 << 20 // bytes
	clientRoom = 10 << 20 // bytes, the same on a client agent
	easyRoom   = 56 << 20 // bytes, up to which
	easyShare  = 150      // percent of what is in use are room
	roomShare  = 50       // percent of what is in use, beyond that
)

// collectSparingly sets the pace of the garbage collector, now and after each of its runs: the heap has room for so many
// bytes at least.
func collectSparingly(room uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &pacer{percent: 100, room: room}
	p.adjust()
	p.rearm()
}

// A pacer sets the pace whenever the runtime has found a small object of its dead, which is after each run.
type pacer struct {
	percent int
	room    uint64
}

type canary struct{ _ *int }

func (p *pacer) rearm() {
	runtime.SetFinalizer(&canary{}, func(*canary) {
		p.adjust()
		p.rearm()
	})
}

// adjust changes the pace if it is off by more than a tenth: each change stops the world for a moment.
func (p *pacer) adjust() {
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(used)
	var sum uint64
	for _, s := range used {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	want := percentFor(sum, p.room)
	if off := want - p.percent; off*10 > p.percent || off*10 < -p.percent {
		p.percent = want
		debug.SetGCPercent(want)
	}
}

// goLeast is what the runtime takes for in use at least: at 100% the collector does not run below 4 MiB, at 600% not below
// 24. To reckon with less, as at the start, when nothing has been found in use yet, would put the first run off to 100 MiB.
const goLeast = 4 << 20

// percentFor is the growth that is allowed from a number of bytes in use, in percent: by so many bytes at least.
func percentFor(used, least uint64) int {
	used = max(used, goLeast)
	room := max(least, min(easyRoom, used*easyShare/100), used*roomShare/100)
	return int(room * 100 / used)
}
