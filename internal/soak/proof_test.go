package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The judge is judged.
func TestJudge(t *testing.T) {
	at := func(index, locks uint64, session string) write {
		return write{Lock: "k", Session: session, Index: index, Create: 5, Locks: locks,
			Call: time.Duration(index), Return: time.Duration(index + 1)}
	}
	late := at(12, 2, "b")
	late.Call, late.Return = 1, 2
	for _, x := range []struct {
		name string
		all  []write
		want string
	}{
		{"passed on", []write{at(12, 2, "b"), at(10, 1, "a"), at(14, 3, "a")}, ""},
		{"deleted meanwhile", []write{at(10, 7, "a"), {Lock: "k", Session: "b", Index: 12, Create: 11, Locks: 1, Call: 12, Return: 13}}, ""},
		{"two of one fence", []write{at(10, 1, "a"), at(12, 1, "b")}, "belongs to a and to b"},
		{"back", []write{at(10, 1, "a"), at(12, 2, "b"), at(14, 1, "a")}, "a wrote at index 14 with fence [5 1]"},
		{"out of time", []write{at(10, 1, "a"), late}, "only began at"},
		{"semaphore", []write{{Lock: "s", Index: 1, Limit: 2, Holders: []string{"a", "b"}}}, ""},
		{"crowd", []write{{Lock: "s", Index: 1, Limit: 2, Holders: []string{"a", "b", "c"}}}, "3 holders"},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := strings.Join(judge(x.all), "; ")
			if x.want == "" && got != "" || !strings.Contains(got, x.want) {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

func TestGrowth(t *testing.T) {
	for _, x := range []struct {
		name  string
		value func(minute int) float64
		grows bool
	}{
		{"steady", func(int) float64 { return 60 }, false},
		{"saw", func(m int) float64 { return 60 + 20*float64(m%3) }, false},
		{"outlier", func(m int) float64 { return 60 + 900*float64(m/59) }, false},
		{"leak", func(m int) float64 { return 60 + float64(m) + 10*float64(m%3) }, true},
		{"start", func(m int) float64 { return 60 + min(20, float64(m)) }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			var all []sample
			for m := range 60 {
				at := time.Duration(m) * time.Minute
				all = append(all, sample{Process: "a", At: at, Age: at, Values: map[string]float64{"MB": x.value(m)}})
			}
			trends, faults := growth(all, 20*time.Minute)
			if len(trends) != 1 || (len(faults) > 0) != x.grows {
				t.Error(fmt.Sprint(trends, faults))
			}
		})
	}
}

// What a process takes when it has just begun is no growth of the one before it.
func TestGrowthWithinALife(t *testing.T) {
	var all []sample
	for minute := range 30 {
		life := minute / 10
		all = append(all, sample{Process: "s1", At: time.Duration(minute) * time.Minute, Age: time.Duration(minute%10+1) * time.Minute,
			Values: map[string]float64{"goroutines": 100 + 100*float64(life), "MB": 60}})
	}
	if trends, faults := growth(all, 0); len(faults) != 0 || len(trends) != 4 { // of three lives, and of the name
		t.Errorf("%q, %q", trends, faults)
	}
	for minute := range 10 {
		all[minute].Values["goroutines"] = 100 + 10*float64(minute)
	}
	if _, faults := growth(all, 20*time.Minute); len(faults) != 0 {
		t.Errorf("lives that have just begun: %q", faults)
	}
	if _, faults := growth(all, 0); len(faults) != 1 {
		t.Errorf("a leak in the first life: %q", faults)
	}
}
