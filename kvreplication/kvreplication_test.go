package kvreplication

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"

	"lictor/acl"
	"lictor/kv"
)

func TestKeysAreCopied(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g=0", "g/a=1", "g/b=2", "g/b/c=3", "g/tmp/x=4", "h=5")
		a.apply(&kv.Put{Key: "g/flags", Flags: 42, TTL: "30s"})
		b.put("copy/g/a=old", "copy/g/tmp/mine=6", "copy/g/zzz=extra", "copy/other=7")
		b.copies(from("dc1", "g/>copy/g/ -g/tmp/"))
		b.wants("copy/g/a=1", "copy/g/b=2", "copy/g/b/c=3", "copy/g/flags=", "copy/g/tmp/mine=6", "copy/other=7")
		if e := kv.Entries.Get(b.log.DB().Read(), "copy/g/flags"); e.Flags != 42 || e.TTL != "" {
			t.Errorf("flags and TTL: %+v", e)
		}
		b.follows()
		w.counted()
		a.put("g/a=changed", "g/new=8", "g/tmp/y=9", "elsewhere=10")
		a.remove("g/flags", false)
		a.remove("g/b", true)
		b.wants("copy/g/a=changed", "copy/g/new=8", "copy/g/tmp/mine=6", "copy/other=7")
		if keys, full := w.counted(); keys != 5 || full != 0 {
			t.Errorf("%d keys were sent for five changes, and %d times all", keys, full)
		}
		s := b.status()
		if s.State != Following || s.Written != 6 || s.Deleted != 4 || s.LastError != "" || s.Synced == nil {
			t.Errorf("status: %+v", s)
		}
		a.remove("", true)
		b.wants("copy/g/tmp/mine=6", "copy/other=7")
	})
}

// Where nothing differs nothing is written, neither when all is compared nor later.
func TestWithoutDifferencesNothingIsWritten(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1", "g/b=2")
		b.put("g/a=1", "g/b=2")
		before := b.keysIndex()
		b.copies(from("dc1", "g/>g/"))
		b.follows()
		a.put("elsewhere=1")
		time.Sleep(5 * time.Hour)
		if got := b.keysIndex(); got != before {
			t.Errorf("keys were written at %d", got)
		}
		if _, full := w.counted(); full != 3 {
			t.Errorf("all was compared %d times in five hours", full)
		}
	})
}

// What somebody else writes where a copy is stays until the source changes it, or until all is compared.
func TestWhatOthersWriteIsUndone(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1", "g/b=2")
		b.copies(from("dc1", "g/>g/"))
		b.follows()
		b.put("g/a=mine", "g/mine=3")
		b.remove("g/b", false)
		a.put("g/a=4")
		b.wants("g/a=4", "g/mine=3")
		time.Sleep(2 * time.Hour)
		b.wants("g/a=4", "g/b=2")
	})
}

// Who leads next goes on where the last one was: in the middle of the first copy, and afterwards. Deletions are not missed.
func TestAnotherLeaderGoesOn(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		const many = 5000
		for i := range many {
			a.put(fmt.Sprintf("g/%05d=%d", i, i))
		}
		feed := from("dc1", "g/>g/")
		feed.MaxKeys = 1000
		b.copies(feed)
		w.until("a part is copied", func() bool { return b.status().Written >= 2000 })
		b.end()
		part := strings.Count(b.all(), "g/")
		w.counted()
		a.remove("g/00000", false)
		a.remove("g/04999", false)
		a.put("g/00001=x", "g/04998=x")
		b.copies(feed)
		w.until("all is copied", func() bool { return a.all() == b.all() })
		if keys, full := w.counted(); full != 0 || keys > many-part+pageKeys+10 {
			t.Errorf("after %d keys the next leader was sent %d, and %d times all", part, keys, full)
		}
		b.follows()
		b.end()
		w.counted()
		a.put("g/00002=y")
		a.remove("g/00003", false)
		b.copies(feed)
		w.until("the change is copied", func() bool { return a.all() == b.all() })
		if keys, full := w.counted(); keys != 2 || full != 0 {
			t.Errorf("the next leader was sent %d keys, and %d times all", keys, full)
		}
	})
}

// An index is worth nothing once another state was restored at the source, or another cluster has its name; nor once
// deletions after it may have been forgotten.
func TestAllIsComparedWhereIndexesSayNothing(t *testing.T) {
	for name, turn := range map[string]func(w *world, a *site, old []byte){
		"restored under way": func(_ *world, a *site, old []byte) { a.rename("restored"); a.restored(old) },
		"restored meanwhile": func(w *world, a *site, old []byte) {
			w.cut("dc2dc1", true)
			a.rename("restored")
			a.restored(old)
			time.Sleep(time.Minute)
			w.cut("dc2dc1", false)
		},
		"forgotten meanwhile": func(w *world, a *site, old []byte) {
			w.cut("dc2dc1", true)
			a.remove("g/new", false)
			a.put("g/a=1")
			a.apply(&kv.ReapTombstones{UpTo: a.keysIndex()})
			time.Sleep(time.Minute)
			w.cut("dc2dc1", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, "dc1 dc2", func(w *world) {
				a, b := w.sites["dc1"], w.sites["dc2"]
				a.put("g/a=1")
				b.copies(from("dc1", "g/>g/"))
				b.wants("g/a=1")
				old := a.saved()
				a.put("g/a=2", "g/new=3")
				b.wants("g/a=2", "g/new=3")
				w.counted()
				turn(w, a, old)
				b.wants("g/a=1")
				if _, full := w.counted(); full != 1 {
					t.Errorf("all was compared %d times", full)
				}
				a.put("g/after=4")
				b.wants("g/a=1", "g/after=4")
			})
		})
	}
}

// A stream that was held up for so long that deletions are forgotten finds them all the same.
func TestAStreamThatWasHeldUpMissesNoDeletion(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1", "g/b=2")
		b.copies(from("dc1", "g/>g/"))
		b.follows()
		a.put("g/c=3")
		b.wants("g/a=1", "g/b=2", "g/c=3")
		a.put("g/b=4")
		synctest.Wait() // it is sent, and the stream pauses
		w.counted()
		a.remove("g/a", false)
		a.apply(&kv.ReapTombstones{UpTo: a.keysIndex()})
		b.wants("g/b=4", "g/c=3")
		if _, full := w.counted(); full != 0 {
			t.Errorf("all was sent %d times", full)
		}
	})
}

// What a token may not read is not taken for deleted, and what one may not write stops the rule; both are told.
func TestMissingRightsAreTold(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1", "g/secret=2")
		b.put("g/secret=old")
		a.allow(func(_ acl.Access, key string) bool { return key != "g/secret" })
		b.copies(from("dc1", "g/>g/"))
		w.until("it is told", func() bool { return b.status().State == Failing })
		if s := b.status(); !strings.Contains(s.LastError, `may not read all keys below "g/"`) || strings.Contains(s.LastError, "secret") {
			t.Errorf("status: %+v", s)
		}
		if got := b.all(); got != "g/secret=old" {
			t.Errorf("there is %s", got)
		}
		a.allow(everything)
		b.allow(func(_ acl.Access, key string) bool { return key != "g/secret" })
		w.until("the other denial is told", func() bool { return strings.Contains(b.status().LastError, `'key:write' on "g/secret"`) })
		b.allow(everything)
		b.wants("g/a=1", "g/secret=2")
		b.follows()
		a.allow(func(access acl.Access, _ string) bool { return access != acl.List })
		w.cut("dc2dc1", true)
		w.cut("dc2dc1", false)
		w.until("the lack of the prefix is told", func() bool { return strings.Contains(b.status().LastError, `'key:list' on "g/"`) })
	})
}

// What a source sends that was not asked for changes nothing here, and lengths that it claims are not believed.
func TestASourceThatLies(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1")
		b.put("g/b=2", "g/mine/b=old", "g/mine/c=old")
		w.forges(func(body []byte) []byte {
			p := new(Page)
			if _, err := p.UnmarshalMsg(body); err != nil {
				w.Error(err)
			}
			if p.Full {
				p.Items = append(p.Items, Item{Key: "mine/b", Value: []byte("theirs")}, Item{Key: "mine/d", Value: []byte("theirs")})
			}
			p.Items, p.Deleted = append(p.Items, Item{Key: "mine/e"}), []string{"mine/c"}
			body, err := p.MarshalMsg(nil)
			if err != nil {
				w.Error(err)
			}
			return body
		})
		b.copies(from("dc1", "g/>g/ -g/mine/"))
		b.follows()
		a.put("g/a=2")
		b.wants("g/a=2", "g/mine/b=old", "g/mine/c=old")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w.forges(func([]byte) []byte { return append(msgp.AppendString([]byte{0x81}, "Items"), 0xdd, 1, 0, 0, 0) })
		a.put("g/a=3")
		w.until("it is told", func() bool { return strings.Contains(b.status().LastError, "a page that cannot be read") })
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
			t.Errorf("%d MiB were made room for", (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	})
}

// A source that is out of reach is asked less and less often, and followed again soon after it is back.
func TestASourceIsAway(t *testing.T) {
	in(t, "dc1 dc2", func(w *world) {
		a, b := w.sites["dc1"], w.sites["dc2"]
		a.put("g/a=1")
		b.copies(from("dc1", "g/>g/"))
		b.follows()
		w.cut("dc2dc1", true)
		w.mu.Lock()
		w.opened = 0
		w.mu.Unlock()
		a.put("g/a=2")
		time.Sleep(time.Hour)
		w.mu.Lock()
		opened := w.opened
		w.mu.Unlock()
		if opened < 40 || opened > 70 {
			t.Errorf("%d attempts in an hour", opened)
		}
		s := b.status()
		if behind, err := time.ParseDuration(s.Behind); err != nil || behind < time.Hour || s.State != Failing || s.LastError != "No path to datacenter" {
			t.Errorf("status: %+v", s)
		}
		w.counted()
		w.cut("dc2dc1", false)
		b.wants("g/a=2")
		if keys, full := w.counted(); keys != 1 || full != 0 {
			t.Errorf("%d keys were sent, and %d times all", keys, full)
		}
	})
}

// Datacenters that are to copy from each other in a circle, of two or of three, say so and leave their keys alone.
func TestCirclesAreFound(t *testing.T) {
	in(t, "dc1 dc2 dc3", func(w *world) {
		a, b, c := w.sites["dc1"], w.sites["dc2"], w.sites["dc3"]
		a.put("g/a=1")
		b.copies(from("dc1", "g/>g/"))
		b.wants("g/a=1")
		b.put("g/b=mine")
		a.copies(from("dc2", "g/>g/"))
		circle := func(s *site) func() bool {
			return func() bool {
				return strings.HasPrefix(s.status().LastError, "a circle: ") && s.status().State == Failing
			}
		}
		w.until("both know", func() bool { return circle(a)() && circle(b)() })
		a.put("g/c=3")
		time.Sleep(time.Hour)
		if a.all() != "g/a=1 g/c=3" || b.all() != "g/a=1 g/b=mine" {
			t.Errorf("there is %s, and %s", a.all(), b.all())
		}
		a.copies() // the circle is opened, and the other one goes on
		b.wants("g/a=1", "g/b=mine", "g/c=3")
		c.copies(from("dc2", "g/>far/"))
		c.wants("far/a=1", "far/b=mine", "far/c=3")
		c.until("it knows where keys are from", func() bool { return len(c.status().Upstream) == 1 })
		a.copies(from("dc3", "far/a>g/a"))
		w.until("the circle of three is known", circle(a))
		if a.all() != "g/a=1 g/c=3" {
			t.Errorf("there is %s", a.all())
		}
		a.copies(from("dc3", "far/>back/")) // no circle: nobody copies that
		a.wants("back/a=1", "back/b=mine", "back/c=3", "g/a=1", "g/c=3")
	})
}

// Three datacenters that begin at once to copy in a circle come to rest.
func TestACircleComesToRest(t *testing.T) {
	in(t, "dc1 dc2 dc3", func(w *world) {
		for i, name := range []string{"dc1", "dc2", "dc3"} {
			s := w.sites[name]
			s.put(fmt.Sprintf("g/a=%d", i), fmt.Sprintf("g/%s=x", name))
			s.copies(from(fmt.Sprintf("dc%d", (i+1)%3+1), "g/>g/"))
		}
		time.Sleep(10 * time.Minute)
		before := map[string]uint64{}
		for name, s := range w.sites {
			if got := s.status(); !strings.HasPrefix(got.LastError, "a circle: ") {
				t.Errorf("%s: %+v", name, got)
			}
			s.put("g/later=" + name)
			before[name] = s.keysIndex()
		}
		time.Sleep(time.Hour)
		for name, s := range w.sites {
			if s.keysIndex() != before[name] {
				t.Errorf("%s still writes: %s", name, s.all())
			}
		}
	})
}

// Whatever happens at the source and on the way, the copy is like it in the end.
func TestCopiesConverge(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			in(t, "dc1 dc2", func(w *world) {
				a, b := w.sites["dc1"], w.sites["dc2"]
				r := rand.New(rand.NewPCG(seed, 0))
				feed := from("dc1", ">copy/ -b/x")
				feed.MaxKeys = 2000
				b.copies(feed)
				for range 60 {
					key := string("abc"[r.IntN(3)]) + "/" + string("xyz"[r.IntN(3)]) + fmt.Sprint(r.IntN(20))
					switch r.IntN(12) {
					case 0:
						a.remove(key[:r.IntN(4)], true)
					case 1, 2:
						a.remove(key, false)
					case 3:
						b.copies(feed)
					case 4:
						w.cut("dc2dc1", r.IntN(2) == 0)
					case 5:
						a.apply(&kv.ReapTombstones{UpTo: a.keysIndex()})
					case 6:
						time.Sleep(time.Duration(r.IntN(20000)) * time.Millisecond)
					case 7:
						for i := range 1100 {
							a.put(fmt.Sprintf("%s/%04d=%d", key, i, r.IntN(3)))
						}
					default:
						a.put(key + "=" + fmt.Sprint(r.IntN(100)))
					}
				}
				w.cut("dc2dc1", false)
				var want []string
				for e := range kv.Entries.All(a.log.DB().Read()) {
					if !strings.HasPrefix(e.Key, "b/x") {
						want = append(want, "copy/"+e.Key+"="+string(e.Value))
					}
				}
				w.until("the copy is like its source", func() bool { return b.all() == strings.Join(want, " ") })
			})
		})
	}
}

// An old leader whose batch comes late, or for a rule that is no longer in force, changes nothing.
func TestALateBatchChangesNothing(t *testing.T) {
	w := newWorld(t, "dc2")
	b := w.sites["dc2"]
	rule := from("dc1", "g/>g/").Rules[0]
	b.apply(&Configure{Rules: []Rule{rule}})
	row := *rules.Get(b.log.DB().Read(), rule.key())
	batch := func(seen, index uint64, key string) uint64 {
		next := row
		next.Index = index
		answer, err := b.log.Apply(t.Context(), &Batch{Seen: seen, Next: next, Ops: []Op{{Key: key}}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.(uint64)
	}
	first := batch(row.ModifyIndex, 7, "g/a")
	if first == 0 || batch(row.ModifyIndex, 8, "g/late") != 0 {
		t.Error("a batch from an older row was taken, or the first one was not")
	}
	if got := b.all(); got != "g/a=" {
		t.Errorf("there is %s", got)
	}
	b.apply(&Configure{Rules: []Rule{rule, {Datacenter: "dc3"}}})
	if p := rules.Get(b.log.DB().Read(), rule.key()); p.Index != 7 || p.ModifyIndex != first {
		t.Errorf("the progress is %+v", p)
	}
	saved := b.saved()
	rule.Exclude = []string{"g/x"}
	b.apply(&Configure{Rules: []Rule{rule}})
	if p := rules.Get(b.log.DB().Read(), rule.key()); p.Index != 0 || batch(first, 9, "g/late") != 0 {
		t.Errorf("another rule has the progress %+v", p)
	}
	b.restored(saved)
	if p := rules.Get(b.log.DB().Read(), rule.key()); p.Index != 7 || p.ModifyIndex != first || len(p.Exclude) != 0 {
		t.Errorf("a snapshot brings back %+v", p)
	}
}

func TestCollide(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a>x/", "a>x/", true}, {"a>x/", "b>x/y", true}, {"a>x", "b>x/y", true}, {"a>", "b>z", true}, {"a>x/", "b>y/", false}, {"a>xa", "b>xb", false},
		{"a/>x/ -a/own/", "b>x/own/", false}, {"a/>x/ -a/own/", "b>x/own/more", false}, {"a/>x/ -a/own/", "b>x/o", true}, {"b>x/own/", "a/>x/ -a/own/", false},
		{"a/>x/ -a/own/", "b>x/", true},
	} {
		f := from("dc1", c.a, c.b)
		if got := Collide(&f.Rules[0], &f.Rules[1]); got != c.want {
			t.Errorf("%s and %s collide: %t", c.a, c.b, got)
		}
	}
}

// BenchmarkCopy copies keys of 100 bytes from an empty destination on, without a log on disk.
func BenchmarkCopy(b *testing.B) {
	w := newWorld(b, "dc1 dc2")
	src, dst := w.sites["dc1"], w.sites["dc2"]
	for i := range b.N {
		if _, err := src.log.Apply(b.Context(), &kv.Put{Key: fmt.Sprintf("g/%09d", i), Value: make([]byte, 100)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	dst.copies(from("dc1", "g/>g/"))
	for all := dst.manager.Statuses(); len(all) == 0 || all[0].State != Following; all = dst.manager.Statuses() {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
	dst.end()
}
