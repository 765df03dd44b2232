// Package heap sets the pace of the garbage collector: what memory a process takes for what it has in use. It knows
// nothing of what is kept.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// The garbage collector runs when the heap has grown by some share of what is in use. Go's own choice, 100%, suits
// neither a small agent nor a large server: with 6 MiB in use a busy server collects all the time (with 24 MiB of room
// a KV write costs a third less CPU, and so does a read), and with 90 MiB in use it takes 90 more that are free for
// nothing. So the heap may grow by half of what is in use, but always by 24 MiB, and by more while that stays below
// 56 MiB. A client agent, of which there is one on every host, makes do with 10 MiB. While there are two states in memory,
// which happens at a restore, an eighth and those 24 MiB must do. Who sets GOGC decides for himself.
const (
	ServerRoom = 24 << 20 // bytes that the heap of a server may grow by at least
	ClientRoom = 10 << 20 // bytes, the same on a client agent
	easyRoom   = 56 << 20 // bytes, up to which
	easyShare  = 150      // percent of what is in use are room
	roomShare  = 50       // percent of what is in use, beyond that
	spareShare = 12       // percent, instead of the two before
)

// pace is the process's. It is off until Pace is called.
var pace pacer

// Pace sets the pace of the garbage collector, now and after each of its runs: the heap has room for so many bytes at
// least. It does nothing where the environment variable GOGC sets another one.
func Pace(room uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	pace.Lock()
	first := pace.room == 0
	pace.room = room
	pace.Unlock()
	pace.adjust()
	if first {
		pace.rearm()
	}
}

// Spare collects what is garbage, and makes the collector keep the heap close to what is in use until done is called, at
// the price of CPU: for whoever is about to make a second copy of something large.
func Spare() (done func()) {
	pace.Lock()
	pace.sparing++
	pace.Unlock()
	runtime.GC()
	pace.adjust()
	return sync.OnceFunc(func() {
		pace.Lock()
		pace.sparing--
		pace.Unlock()
		pace.adjust()
	})
}

// A pacer sets the pace whenever the runtime has found a small object of its dead, which is after each run.
type pacer struct {
	sync.Mutex
	percent int // 0: what the runtime has begun with
	room    uint64
	sparing int // how many want the heap small
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
	p.Lock()
	defer p.Unlock()
	if p.room == 0 {
		return
	}
	want := percentFor(inUse(), p.room, p.sparing > 0)
	if off := want - p.percent; off*10 > p.percent || off*10 < -p.percent {
		p.percent = want
		debug.SetGCPercent(want)
	}
}

// inUse is how many bytes the last run of the collector has found in use.
func inUse() uint64 {
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(used)
	var sum uint64
	for _, s := range used {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}

// goLeast is what the runtime takes for in use at least: at 100% the collector does not run below 4 MiB, at 600% not below
// 24. To reckon with less, as at the start, when nothing has been found in use yet, would put the first run off to 100 MiB.
const goLeast = 4 << 20

// percentFor is the growth that is allowed from a number of bytes in use, in percent: by so many bytes at least.
func percentFor(used, least uint64, sparing bool) int {
	used = max(used, goLeast)
	room := max(min(easyRoom, used*easyShare/100), used*roomShare/100)
	if sparing {
		room = used * spareShare / 100
	}
	return int(max(room, least) * 100 / used)
}
