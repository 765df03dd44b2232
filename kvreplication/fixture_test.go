package kvreplication

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
)

// A world is some datacenters that reach each other, in fake time.
type world struct {
	testing.TB
	sites map[string]*site

	mu      sync.Mutex // guards what follows
	cuts    map[string]bool
	streams map[string]context.CancelFunc
	opened  int // streams
	keys    int // that were sent
	full    int // answers of all keys from the first on

	forge func(page []byte) []byte // what becomes of a page under way; nil leaves all as they are; guarded by mu
}

// A site is one datacenter.
type site struct {
	*world
	name    string
	log     *state.Local
	manager *Manager
	end     func()
	cluster string                        // id; guarded by world.mu
	may     func(acl.Access, string) bool // what every token may do; guarded by world.mu
}

// allowed is an Authorizer of a site.
type allowed struct {
	acl.Authorizer
	site *site
}

func (a allowed) Allow(_ acl.Resource, name string, access acl.Access) bool {
	a.site.mu.Lock()
	defer a.site.mu.Unlock()
	return a.site.may(access, name)
}

// allow says what every token may do at a site.
func (s *site) allow(may func(acl.Access, string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.may = may
}

// rename makes a site's state that of another cluster.
func (s *site) rename(cluster string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster = cluster
}

// in runs a test among datacenters with these names.
func in(t *testing.T, names string, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, names)
		defer func() {
			for _, s := range w.sites {
				s.end()
			}
		}()
		test(w)
	})
}

func newWorld(t testing.TB, names string) *world {
	w := &world{TB: t, sites: map[string]*site{}, cuts: map[string]bool{}, streams: map[string]context.CancelFunc{}}
	for _, name := range strings.Fields(names) {
		s := &site{world: w, name: name, cluster: "of-" + name, may: everything, end: func() {}}
		log, err := state.NewLocal(1, slices.Concat(kv.Tables(), Tables())...)
		if err != nil {
			t.Fatal(err)
		}
		s.log = log
		w.sites[name] = s
	}
	return w
}

// copies lets a site copy from now on, in the place of what it did. The caller ends it by end.
func (s *site) copies(feeds ...Feed) {
	s.end()
	m := NewManager(Config{Log: s.log, Datacenter: s.name, Logger: slog.New(slog.DiscardHandler), Stream: s.stream,
		Resolve: func(context.Context, string) (acl.Authorizer, error) { return allowed{acl.AllowAll(), s}, nil }})
	m.Configure(feeds)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	s.manager = m
	s.end = func() { cancel(); <-done; s.end = func() {} }
}

// from is a feed of rules, each as "source>destination -excluded".
func from(datacenter string, texts ...string) Feed {
	f := Feed{Compare: 2 * time.Hour}
	for _, text := range texts {
		words := strings.Split(text, " -")
		source, destination, _ := strings.Cut(words[0], ">")
		f.Rules = append(f.Rules, Rule{Datacenter: datacenter, Source: source, Destination: destination, Exclude: words[1:]})
	}
	return f
}

// stream is Config.Stream, with everything encoded as it would be.
func (s *site) stream(ctx context.Context, h rpc.Header, args []byte, deliver func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	there, link := s.sites[h.Datacenter], s.name+h.Datacenter
	s.mu.Lock()
	cut := s.cuts[link]
	s.streams[link] = cancel
	s.opened++
	s.mu.Unlock()
	if cut {
		return rpc.ErrNoDatacenter
	}
	q := new(Follow)
	if _, err := q.UnmarshalMsg(args); err != nil {
		return err
	}
	source := &Source{Log: there.log, Cluster: func(*state.Tx) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return there.cluster
	}}
	rights := func(context.Context) (acl.Authorizer, error) { return allowed{acl.AllowAll(), there}, nil }
	return source.Follow(ctx, rights, q, func(p *Page) error {
		body, err := p.MarshalMsg(nil)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.keys += len(p.Items) + len(p.Deleted)
		if p.First {
			s.full++
		}
		forge := s.forge
		s.mu.Unlock()
		if forge != nil {
			body = forge(body)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return deliver(body)
	})
}

// cut cuts the way from a site to a source, or mends it.
func (w *world) cut(link string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts[link] = cut
	if cancel := w.streams[link]; cut && cancel != nil {
		cancel()
	}
}

// forges says what becomes of pages under way.
func (w *world) forges(forge func(page []byte) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forge = forge
}

// counted takes how many keys and full answers were sent since it was last called.
func (w *world) counted() (keys, full int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, full = w.keys, w.full
	w.keys, w.full = 0, 0
	return keys, full
}

func (s *site) apply(c state.Command) {
	s.Helper()
	if _, err := s.log.Apply(context.Background(), c); err != nil {
		s.Fatal(err)
	}
}

// put writes keys, each as "key=value".
func (s *site) put(texts ...string) {
	s.Helper()
	for _, text := range texts {
		key, value, _ := strings.Cut(text, "=")
		s.apply(&kv.Put{Key: key, Value: []byte(value)})
	}
}

func (s *site) remove(key string, tree bool) { s.apply(&kv.Delete{Key: key, Recurse: tree}) }

// all are the keys of a site, each as "key=value".
func (s *site) all() string {
	var out []string
	for e := range kv.Entries.All(s.log.DB().Read()) {
		out = append(out, e.Key+"="+string(e.Value))
	}
	return strings.Join(out, " ")
}

// keysIndex is the index at which a key has last changed.
func (s *site) keysIndex() uint64 { return s.log.DB().Read().Changed(kv.Entries.Name()) }

// wants waits until a site has these keys and no others.
func (s *site) wants(texts ...string) {
	s.Helper()
	want := strings.Join(texts, " ")
	s.until(fmt.Sprintf("%s has %s", s.name, want), func() bool { return s.all() == want })
}

// until waits until something holds, in fake time.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	for end := time.Now().Add(10 * time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			for _, s := range w.sites {
				w.Logf("%s: %.500s", s.name, s.all())
				if s.manager != nil {
					w.Logf("%s: %+v", s.name, s.manager.Statuses())
				}
			}
			w.Fatalf("never: %s", what)
		}
	}
}

// status is that of the only rule of a site.
func (s *site) status() Status {
	s.Helper()
	synctest.Wait()
	all := s.manager.Statuses()
	if len(all) != 1 {
		s.Fatalf("%s has %d rules at work", s.name, len(all))
	}
	return all[0]
}

func (s *site) follows() {
	s.Helper()
	s.until(s.name+" follows", func() bool { all := s.manager.Statuses(); return len(all) > 0 && all[0].State == Following })
}

// saved is the whole state of a site; restored brings one back.
func (s *site) saved() []byte {
	s.Helper()
	var out bytes.Buffer
	if _, err := s.log.DB().Snapshot().WriteTo(&out); err != nil {
		s.Fatal(err)
	}
	return out.Bytes()
}

func (s *site) restored(snapshot []byte) {
	s.Helper()
	if err := s.log.DB().Restore(bytes.NewReader(snapshot)); err != nil {
		s.Fatal(err)
	}
}

// everything is what a token may do that may do all.
func everything(acl.Access, string) bool { return true }
