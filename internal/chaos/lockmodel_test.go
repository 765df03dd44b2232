package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// The kinds of operations on locks, besides put, which writes under a lock to a register beside it.
const (
	acquire = "acquire"
	release = "release"
)

// A lockOp is one operation on a lock as its client saw it, whose outcome is known. Those that got no answer are left out:
// their sessions are never used again, so nobody can tell whether they were carried out.
type lockOp struct {
	Client  int
	Kind    string
	Key     string
	Session string
	Call    int64 // in nanoseconds since the begin of the history
	Return  int64
	Granted bool   // the lock was got or given up, the register was written
	Create  uint64 `json:",omitempty"` // CreateIndex of the lock as a put found it
	Locks   uint64 `json:",omitempty"` // LockIndex of it
	Modify  uint64 `json:",omitempty"` // ModifyIndex of the register
}

// fence is what orders the holders of a lock.
func (o *lockOp) fence() [2]uint64 { return [2]uint64{o.Create, o.Locks} }

// A lockState is a lock between two steps.
type lockState struct {
	holder string    // "" if there is none
	fence  [2]uint64 // of the last holder that has written
	writer string    // who that was
}

// lockModel is what a lock does. Sessions may end at any time, so whoever asks may get the lock; but who has lost it has lost
// it for good.
var lockModel = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, o := state.(lockState), input.(*lockOp)
		switch {
		case o.Kind == acquire && o.Granted:
			s.holder = o.Session
		case o.Kind == acquire: // somebody has it, or a lock delay is not over
		case !o.Granted && s.holder == o.Session:
			s.holder = "" // its session has ended
		case !o.Granted:
		case s.holder != o.Session:
			return false, s
		case o.Kind == release:
			s.holder = ""
		default:
			f := o.fence()
			if order := slices.Compare(f[:], s.fence[:]); order < 0 || (order == 0) != (s.writer == o.Session) {
				return false, s
			}
			s.fence, s.writer = f, o.Session
		}
		return true, s
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(*lockOp)
		return fmt.Sprintf("%s %.8s: %t %v", o.Kind, o.Session, o.Granted, o.fence())
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state.(lockState)) },
}

// examineLocks checks that each lock has one holder at a time, in the time of the clients and in the order of the log.
func examineLocks(all []lockOp) (faults []fault) {
	keys := map[string][]lockOp{}
	for _, o := range all {
		keys[o.Key] = append(keys[o.Key], o)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		var ops []porcupine.Operation
		for i := range keys[key] {
			o := &keys[key][i]
			ops = append(ops, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return})
		}
		result, info := porcupine.CheckOperationsVerbose(lockModel, ops, patience)
		switch result {
		case porcupine.Illegal:
			faults = append(faults, fault{Key: key, Text: "more than one holder", info: &info})
		case porcupine.Unknown:
			faults = append(faults, fault{Key: key, Text: fmt.Sprintf("not decided within %s", patience), info: &info})
		}
		faults = append(faults, logged(key, keys[key])...)
	}
	return faults
}

// logged: in the order of the log, which the register's ModifyIndex tells, a lock passes on and never back.
func logged(key string, all []lockOp) (faults []fault) {
	all = slices.DeleteFunc(slices.Clone(all), func(o lockOp) bool { return o.Kind != put || !o.Granted })
	slices.SortFunc(all, func(a, b lockOp) int { return cmp.Compare(a.Modify, b.Modify) })
	for i := range all {
		if i == 0 {
			continue
		}
		last, next := all[i-1].fence(), all[i].fence()
		if order := slices.Compare(next[:], last[:]); order < 0 || (order == 0) != (all[i].Session == all[i-1].Session) {
			faults = append(faults, fault{Key: key, Text: fmt.Sprintf("%s wrote at %d with fence %v after %s at %d with %v",
				all[i].Session, all[i].Modify, next, all[i-1].Session, all[i-1].Modify, last)})
		}
	}
	return faults
}

// What can be true of locks passes, and what cannot does not.
func TestLockModel(t *testing.T) {
	at := func(time int64, kind, session string, granted bool, locks uint64) lockOp {
		return lockOp{Client: int(session[0]), Kind: kind, Key: "k", Session: session, Call: 10 * time, Return: 10*time + 15,
			Granted: granted, Create: 1, Locks: locks, Modify: uint64(time)}
	}
	for _, x := range []struct {
		name string
		all  []lockOp
		want string
	}{
		{"passed on", []lockOp{at(1, acquire, "a", true, 0), at(3, put, "a", true, 1), at(5, release, "a", true, 0),
			at(7, acquire, "b", true, 0), at(9, put, "b", true, 2), at(11, put, "a", false, 0)}, ""},
		{"lost", []lockOp{at(1, acquire, "a", true, 0), at(3, put, "a", true, 1), at(5, acquire, "b", true, 0),
			at(7, put, "b", true, 2), at(9, put, "a", false, 0), at(11, release, "a", false, 0)}, ""},
		{"just in time", []lockOp{at(1, acquire, "a", true, 0), at(4, acquire, "b", true, 0), at(5, put, "a", true, 1), at(7, put, "b", true, 2)}, ""},
		{"two holders", []lockOp{at(1, acquire, "a", true, 0), at(3, acquire, "b", true, 0), at(5, put, "b", true, 2), at(7, put, "a", true, 2)}, "more than one holder"},
		{"back from the dead", []lockOp{at(1, acquire, "a", true, 0), at(3, put, "a", false, 0), at(5, put, "a", true, 1)}, "more than one holder"},
		{"the same fence", []lockOp{at(1, acquire, "a", true, 0), at(3, put, "a", true, 1), at(5, acquire, "b", true, 0), at(7, put, "b", true, 1)}, "more than one holder"},
		{"back in the log", []lockOp{at(1, acquire, "a", true, 0), at(3, put, "a", true, 2), at(4, acquire, "b", true, 0), at(2, put, "b", true, 3)}, "after b at 2"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var texts []string
			for _, f := range examineLocks(x.all) {
				texts = append(texts, f.Text)
			}
			if got := strings.Join(texts, "; "); x.want == "" && got != "" || !strings.Contains(got, x.want) {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}
