package telemetry

import (
	"strconv"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
)

// hostFreshness is how long what was learned of the host is good for: pushes and scrapes share one look.
const hostFreshness = 5 * time.Second

// hostStats computes the consul.host gauges. What the system does not tell is left out.
type hostStats struct {
	disk string

	// mu guards the rest.
	mu     sync.Mutex
	looked time.Time
	values []hostValue
	before []cpu.TimesStat
}

type hostValue struct {
	name   string
	value  float64
	labels []Label
}

func newHostStats(path string) *hostStats { return &hostStats{disk: path} }

func (h *hostStats) collect(emit Emit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.looked) >= hostFreshness {
		h.looked, h.values = time.Now(), h.values[:0]
		h.memory()
		h.processors()
		h.fileSystem()
		if seconds, err := host.Uptime(); err == nil {
			h.add("host.uptime", float64(seconds))
		}
	}
	for _, v := range h.values {
		emit(v.name, v.value, v.labels...)
	}
}

func (h *hostStats) add(name string, value float64, labels ...Label) {
	h.values = append(h.values, hostValue{name, value, labels})
}

func (h *hostStats) memory() {
	m, err := mem.VirtualMemory()
	if err != nil {
		return
	}
	h.add("host.memory.total", float64(m.Total))
	h.add("host.memory.available", float64(m.Available))
	h.add("host.memory.free", float64(m.Free))
	h.add("host.memory.used", float64(m.Used))
	h.add("host.memory.used_percent", m.UsedPercent)
}

// processors adds what share of its time each processor spent how since the last look, in percent.
func (h *hostStats) processors() {
	now, err := cpu.Times(true)
	if err != nil {
		return
	}
	for i, t := range now {
		var was cpu.TimesStat
		if i < len(h.before) {
			was = h.before[i]
		}
		all := busy(t) + idle(t) - busy(was) - idle(was)
		if all <= 0 {
			continue
		}
		label := Label{"cpu", "cpu" + strconv.Itoa(i)}
		h.add("host.cpu.total", 100*(busy(t)-busy(was))/all, label)
		h.add("host.cpu.user", 100*(t.User-was.User)/all, label)
		h.add("host.cpu.idle", 100*(t.Idle-was.Idle)/all, label)
		h.add("host.cpu.iowait", 100*(t.Iowait-was.Iowait)/all, label)
		h.add("host.cpu.system", 100*(t.System-was.System)/all, label)
	}
	h.before = now
}

func busy(t cpu.TimesStat) float64 { return t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal }

func idle(t cpu.TimesStat) float64 { return t.Idle + t.Iowait }

func (h *hostStats) fileSystem() {
	u, err := disk.Usage(h.disk)
	if err != nil {
		return
	}
	label := Label{"path", h.disk}
	h.add("host.disk.size", float64(u.Total), label)
	h.add("host.disk.used", float64(u.Used), label)
	h.add("host.disk.available", float64(u.Free), label)
	h.add("host.disk.used_percent", u.UsedPercent, label)
	h.add("host.disk.inodes_percent", u.InodesUsedPercent, label)
}
