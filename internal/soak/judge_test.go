package soak

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A write is what one transaction of a holder saw and did.
type write struct {
	Lock    string        `json:"lock"`
	Session string        `json:"session"`
	Index   uint64        `json:"index"`           // of the log, at which the register was written
	Create  uint64        `json:"create"`          // of the lock's key
	Locks   uint64        `json:"locks"`           // its LockIndex
	Limit   int           `json:"limit,omitempty"` // of a semaphore
	Holders []string      `json:"holders,omitempty"`
	Call    time.Duration `json:"call"` // since the run began
	Return  time.Duration `json:"return"`
}

// fence orders the holders of a lock.
func (w write) fence() [2]uint64 { return [2]uint64{w.Create, w.Locks} }

// judge looks for what cannot be true of the writes that were carried out.
func judge(all []write) (faults []string) {
	of := map[string][]write{}
	for _, w := range all {
		of[w.Lock] = append(of[w.Lock], w)
	}
	for lock, writes := range of {
		slices.SortFunc(writes, func(a, b write) int { return cmp.Compare(a.Index, b.Index) })
		faults = append(faults, realTime(lock, writes)...)
		if writes[0].Limit > 0 {
			faults = append(faults, crowds(lock, writes)...)
		} else {
			faults = append(faults, fences(lock, writes)...)
		}
	}
	return faults
}

// fences: the lock passes on and never back.
func fences(lock string, writes []write) (faults []string) {
	holder := map[[2]uint64]string{}
	for i, w := range writes {
		if s, ok := holder[w.fence()]; ok && s != w.Session {
			faults = append(faults, fmt.Sprintf("%s: fence %v belongs to %s and to %s", lock, w.fence(), s, w.Session))
		}
		holder[w.fence()] = w.Session
		if i == 0 {
			continue
		}
		if before := writes[i-1]; slices.Compare(slice(w.fence()), slice(before.fence())) < 0 {
			faults = append(faults, fmt.Sprintf("%s: %s wrote at index %d with fence %v after %s at %d with %v",
				lock, w.Session, w.Index, w.fence(), before.Session, before.Index, before.fence()))
		}
	}
	return faults
}

func slice(f [2]uint64) []uint64 { return f[:] }

// crowds: a semaphore has no more holders than its limit.
func crowds(lock string, writes []write) (faults []string) {
	for _, w := range writes {
		if len(w.Holders) > w.Limit {
			faults = append(faults, fmt.Sprintf("%s: %d holders at index %d: %v", lock, len(w.Holders), w.Index, w.Holders))
		}
	}
	return faults
}

// realTime: a write that began after another had been answered is behind it in the log.
func realTime(lock string, writes []write) (faults []string) {
	var latest write // of those so far in the order of the log, the one that began last
	for i, w := range writes {
		if i > 0 && w.Index == writes[i-1].Index {
			faults = append(faults, fmt.Sprintf("%s: two writes at index %d", lock, w.Index))
		}
		if i > 0 && latest.Call > w.Return {
			faults = append(faults, fmt.Sprintf("%s: the write at index %d was answered at %s, and that at %d only began at %s",
				lock, w.Index, w.Return, latest.Index, latest.Call))
		}
		if w.Call > latest.Call {
			latest = w
		}
	}
	return faults
}
