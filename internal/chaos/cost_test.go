//go:build chaos

package chaos

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A cost is what a process takes of the machine.
type cost struct {
	resident, own float64       // MiB in memory, and of it what is not shared with a file
	cpu           time.Duration // since its start
}

// costOf reads the cost of a process.
func costOf(pid int) (c cost, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			c.resident = kib / 1024
		case "RssAnon:":
			c.own = kib / 1024
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return c, err
	}
	const hertz, user, system = 100, 11, 12 // fields, counted from the one behind the name
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, n := range []int{user, system} {
		ticks, err := strconv.ParseInt(fields[n], 10, 64)
		if err != nil {
			return c, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		c.cpu += time.Duration(ticks) * time.Second / hertz
	}
	return c, nil
}

// spread is the median and the largest of some numbers.
func spread(all []float64) string {
	slices.Sort(all)
	return fmt.Sprintf("%8.2f %8.2f", all[len(all)/2], all[len(all)-1])
}

// table compares costs at two moments, some time apart, of some kinds of processes.
func table(kinds map[string][][2]cost, apart time.Duration) string {
	lines := []string{fmt.Sprintf("%-8s %5s  %17s  %17s  %17s", "", "", "MiB resident", "MiB of its own", "CPU ms per s"),
		fmt.Sprintf("%-8s %5s  %8s %8s  %8s %8s  %8s %8s", "", "n", "median", "most", "median", "most", "median", "most")}
	for _, kind := range []string{"servers", "clients"} {
		var resident, own, cpu []float64
		for _, c := range kinds[kind] {
			resident, own = append(resident, c[1].resident), append(own, c[1].own)
			cpu = append(cpu, float64(c[1].cpu-c[0].cpu)/float64(apart)*1000)
		}
		lines = append(lines, fmt.Sprintf("%-8s %5d  %s  %s  %s", kind, len(cpu), spread(resident), spread(own), spread(cpu)))
	}
	return strings.Join(lines, "\n")
}
