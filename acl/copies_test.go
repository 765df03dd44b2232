package acl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"

	"lictor/claims"
	"lictor/replica"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// A twin is a datacenter that copies from a primary one, and the way there.
type twin struct {
	*house
	primary *house
	known   rpc.Registry[Authorizer] // of the primary datacenter
	writes  atomic.Int64
	token   string
	before  func(method string) // is called before each call
	newer   bool                // the primary datacenter is of a version that knows more of each row
	body    []byte              // what the primary datacenter says that each row is; nil is the truth
	ahead   atomic.Int64        // by how much the clock here is ahead of the primary datacenter's, in nanoseconds
}

// Apply implements state.Log, and counts.
func (w *twin) Apply(ctx context.Context, cmd state.Command) (any, error) {
	w.writes.Add(1)
	return w.house.Log.Apply(ctx, cmd)
}

func (w *twin) Fresh(ctx context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	return w.house.Log.Fresh(ctx, opts)
}

func (w *twin) DB() *state.DB { return w.house.Log.DB() }

// Call implements rpc.Caller.
func (w *twin) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	if w.before != nil {
		w.before(method)
	}
	az, err := w.primary.resolver.Resolve(h.Token)
	if err != nil {
		return err
	}
	body, err := rpc.Append(nil, args)
	if err != nil {
		return err
	}
	answer, err := w.known.Answer(ctx, az, method, body)
	if err != nil {
		return err
	}
	if err := rpc.Decode(answer, reply); err != nil {
		return err
	}
	if rows, ok := reply.(**replica.Rows); ok && w.body != nil {
		for i := range (*rows).Rows {
			(*rows).Rows[i].Body = w.body
		}
	}
	if !w.newer {
		return nil
	}
	switch r := reply.(type) {
	case **replica.Listing:
		for _, kind := range (*r).Kinds {
			for i := range kind.Stubs {
				kind.Stubs[i].Digest = append(kind.Stubs[i].Digest, 1)
			}
		}
	case **replica.Rows:
		for i := range (*r).Rows {
			row := &(*r).Rows[i]
			row.Digest = append(row.Digest, 1)
			row.Body[0]++ // the number of fields
			row.Body = msgp.AppendInt(msgp.AppendString(row.Body, "New"), 1)
		}
	}
	return nil
}

func newTwin(t *testing.T) *twin {
	t.Helper()
	w := &twin{house: newSecondary(t), primary: newHouse(t), token: rootSecret}
	owner := &replica.Owner[Authorizer]{Log: w.primary.Log, Kinds: w.primary.Copied(true), Fresh: Fresh}
	rpc.Handle(&w.known, replica.ListMethod, owner.List)
	rpc.Handle(&w.known, replica.FetchMethod, owner.Fetch)
	return w
}

// newSecondary makes a house in another datacenter than the primary one.
func newSecondary(t *testing.T) *house {
	t.Helper()
	log, err := state.NewLocal(1000, Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, Authority: &Authority{Log: log, Datacenter: "dc2", Primary: "dc1", TokensCopied: true, Enabled: true, Keys: claims.Remembering()}}
	h.resolver = &Resolver{DB: log.DB, Datacenter: "dc2", Secondary: true, Context: t.Context()}
	if err := h.Begin(t.Context(), rootSecret); err != nil {
		t.Fatal(err)
	}
	return h
}

// during lets this server lead while do runs, and gives how the copying went.
func (w *twin) during(do func()) replica.Status {
	w.Helper()
	metrics, err := telemetry.New(telemetry.Config{Prefix: "consul"})
	if err != nil {
		w.Fatal(err)
	}
	kinds := w.Copied(true)
	kinds[len(kinds)-1].(*replica.Table[Authorizer, Token]).Over = func(t *Token) bool { return t.Expired(time.Now().Add(time.Duration(w.ahead.Load()))) }
	c := &replica.Copier[Authorizer]{Log: w, Kinds: kinds, Caller: w, Journal: slog.New(slog.DiscardHandler), Metrics: metrics,
		Header: func() rpc.Header { return rpc.Header{Token: w.token} }}
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	do()
	s := c.Status()
	cancel()
	<-done
	return s
}

// said is all that is copied, without indexes.
func said(h *house) string {
	h.Helper()
	var out []string
	tx := h.Log.DB().Read()
	for p := range Policies.All(tx) {
		out = append(out, fmt.Sprint(p.ID, p.Name, p.Rules))
	}
	for r := range Roles.All(tx) {
		grants, _ := json.Marshal(r.Grants)
		out = append(out, fmt.Sprint(r.ID, r.Name, string(grants)))
	}
	for t := range Tokens.All(tx) {
		if !t.Local {
			grants, _ := json.Marshal(t.Grants)
			out = append(out, fmt.Sprint(t.AccessorID, t.SecretID, t.Description, string(grants), t.ExpirationTime))
		}
	}
	return strings.Join(out, "\n")
}

// Many rows are copied in few writes; nothing is written where nothing differs, and all is right again after anything has changed.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		p := w.primary
		for i := range 300 {
			one := p.policy(fmt.Sprintf("p%03d", i), fmt.Sprintf("key \"%d\" { policy = \"write\" }", i))
			p.token(Token{Grants: Grants{Policies: []Link{{ID: one.ID}}}})
		}
		p.token(Token{Local: true})
		p.token(Token{AccessorID: "0000AAAA-0000-4000-8000-00000000000B"}) // before or behind the others, by case
		w.during(func() {
			time.Sleep(20 * time.Second)
			if got := w.writes.Load(); got > 8 {
				t.Errorf("%d writes for 600 rows", got)
			}
		})
		if said(w.house) != said(p) {
			t.Fatalf("here: %s\nthere: %s", said(w.house), said(p))
		}
		before := w.writes.Load()
		for range 3 { // as three leaders, one after the other
			if s := w.during(func() { time.Sleep(time.Hour) }); s.LastErrorMessage != "" || s.LastSuccess.IsZero() || slices.Contains(s.Indexes, 0) {
				t.Errorf("%+v", s)
			}
		}
		if after := w.writes.Load(); after != before {
			t.Errorf("%d writes without a change", after-before)
		}
		a, b := policyByName(p.Log.DB().Read(), "p000"), policyByName(p.Log.DB().Read(), "p001")
		w.during(func() {
			time.Sleep(time.Minute)
			for _, c := range []PolicyChange{{Policy{ID: a.ID, Name: "x", Rules: a.Rules}}, {Policy{ID: b.ID, Name: "p000", Rules: b.Rules}}, {Policy{ID: a.ID, Name: "p001", Rules: a.Rules}}} {
				if _, err := p.SetPolicy(t.Context(), p.root, &c); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Second)
			if said(w.house) != said(p) {
				t.Error("two policies that have changed names are not what they are in the primary datacenter")
			}
		})
	})
}

// A token that has ended for the clock here, but not for that of the primary datacenter, is not copied and keeps no other from being
// copied. It comes when the clock has been set right.
func TestCopiesOfTokensThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		w.ahead.Store(int64(9 * time.Hour))
		short, long := w.primary.token(Token{ExpirationTTL: 8 * time.Hour}), w.primary.token(Token{ExpirationTTL: 20 * time.Hour})
		has := func(token *Token) bool { return Tokens.Get(w.DB().Read(), token.AccessorID) != nil }
		w.during(func() {
			time.Sleep(time.Minute)
			if has(short) || !has(long) {
				t.Errorf("a token that is over is here: %v; another one: %v", has(short), has(long))
			}
			before := w.writes.Load()
			time.Sleep(2 * time.Hour)
			if after := w.writes.Load(); after != before {
				t.Errorf("%d writes without a change", after-before)
			}
			w.ahead.Store(0)
			time.Sleep(2 * time.Hour)
			if said(w.house) != said(w.primary) {
				t.Errorf("here: %s\nthere: %s", said(w.house), said(w.primary))
			}
		})
		if s := w.during(func() { time.Sleep(time.Minute) }); s.LastErrorMessage != "" {
			t.Errorf("%+v", s)
		}
	})
}

// Rows of which the primary datacenter, being of a newer version, says more than this one knows are written once.
func TestCopiesOfANewerVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		w.newer = true
		w.primary.policy("p", "")
		w.during(func() { time.Sleep(time.Minute) })
		if said(w.house) != said(w.primary) {
			t.Fatalf("here: %s\nthere: %s", said(w.house), said(w.primary))
		}
		before := w.writes.Load()
		if s := w.during(func() { time.Sleep(time.Hour) }); s.LastErrorMessage != "" {
			t.Errorf("%+v", s)
		}
		if after := w.writes.Load(); after != before {
			t.Errorf("%d writes without a change", after-before)
		}
	})
}

// Lengths that a primary datacenter claims are not believed.
func TestCopiesThatLie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		w.primary.policy("p", "")
		w.body = append(msgp.AppendString([]byte{0x81}, "Datacenters"), 0xdd, 1, 0, 0, 0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if s := w.during(func() { time.Sleep(time.Minute) }); !strings.Contains(s.LastErrorMessage, "a row that cannot be read") {
			t.Errorf("%+v", s)
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
			t.Errorf("%d MiB were made room for", (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	})
}

// A token is not good before the policies that it holds are here, however they change meanwhile: one that denies would be missing.
func TestCopiesAreOfOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		p := w.primary
		w.during(func() { time.Sleep(time.Minute) })
		allow, deny := p.policy("allow", `key_prefix "" { policy = "write" }`), p.policy("deny", `key "secret" { policy = "deny" }`)
		secret := p.token(Token{Grants: Grants{Policies: []Link{{ID: allow.ID}, {ID: deny.ID}}}}).SecretID
		left := 5
		w.before = func(method string) {
			if az, err := w.resolver.Resolve(secret); err == nil && az.Allow(Key, "secret", Write) {
				t.Error("the token may do what it may not in the primary datacenter")
			}
			if method != replica.FetchMethod.Name || left == 0 {
				return
			}
			left--
			if _, err := p.SetPolicy(t.Context(), p.root, &PolicyChange{Policy{ID: deny.ID, Name: "deny", Description: fmt.Sprint(left), Rules: deny.Rules}}); err != nil {
				t.Error(err)
			}
		}
		w.during(func() { time.Sleep(time.Minute) })
		if said(w.house) != said(p) || left > 0 {
			t.Errorf("%d left; here: %s\nthere: %s", left, said(w.house), said(p))
		}
	})
}

// A local token that has the accessor of one of the primary datacenter, or its secret, stays what it is; the status names the other.
func TestLocalTokensStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwin(t)
		w.during(func() { time.Sleep(time.Minute) })
		w.root = w.resolve(rootSecret)
		mine := w.house.token(Token{Local: true, Description: "mine"})
		theirs := w.primary.token(Token{AccessorID: mine.AccessorID, Description: "theirs"})
		other := w.primary.token(Token{Description: "other"})
		s := w.during(func() { time.Sleep(time.Minute) })
		if !strings.Contains(s.LastErrorMessage, theirs.AccessorID) {
			t.Errorf("%+v", s)
		}
		tx := w.Log.DB().Read()
		if got := Tokens.Get(tx, mine.AccessorID); got.Description != "mine" || got.SecretID != mine.SecretID {
			t.Errorf("%+v", got)
		}
		if Tokens.Get(tx, other.AccessorID) == nil {
			t.Error("another token was not copied")
		}
		if _, err := w.resolver.Resolve(theirs.SecretID); err == nil {
			t.Error("the token of the primary datacenter is good")
		}
	})
}

// What stands for a secret that is withheld is never one.
func TestWithheldSecrets(t *testing.T) {
	w := newTwin(t)
	for _, secret := range []string{"", hidden} {
		if _, err := copyTokens([]*Token{{AccessorID: newID(), SecretID: secret}}, nil); err == nil || !strings.Contains(err.Error(), "acl:write") {
			t.Errorf("a token with the secret %q: %v", secret, err)
		}
	}
	if _, err := w.Log.Apply(t.Context(), &CopyTokens{Set: []*Token{{AccessorID: newID(), SecretID: hidden, Grants: Grants{Policies: []Link{{ID: globalManagementID}}}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.resolver.Resolve(hidden); err == nil {
		t.Error("a token is good that everybody knows")
	}
	reader := w.primary.policy("reader", `acl = "read"`)
	w.token = w.primary.token(Token{Grants: Grants{Policies: []Link{{ID: reader.ID}}}}).SecretID
	_, err := replica.FetchMethod.Call(t.Context(), w, rpc.Header{Token: w.token}, &replica.Selection{Kind: "acl-tokens", Keys: []string{AnonymousID}})
	if rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("whole tokens for who may read: %v", err)
	}
	owner := &replica.Owner[Authorizer]{Log: w.primary.Log, Kinds: w.primary.Copied(true), Fresh: Fresh}
	list, err := owner.List(t.Context(), AllowAll(), &replica.Question{Kinds: []replica.Seen{{Kind: "acl-policies"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.List(t.Context(), DenyAll(), &replica.Question{Kinds: []replica.Seen{{Kind: "acl-policies", Index: list.Kinds[0].Index}}}); rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("who has guessed an index: %v", err)
	}
}

// Local tokens are made elsewhere only where tokens are copied, and no others; an auth method of one name in both datacenters takes
// with it what it has made, and nothing of the other.
func TestTokensOfASecondary(t *testing.T) {
	h := newSecondary(t)
	root := AllowAll()
	if _, err := h.SetToken(t.Context(), root, &TokenChange{Create: true}); err == nil || !strings.Contains(err.Error(), "primary datacenter") {
		t.Errorf("a global token: %v", err)
	}
	if _, err := h.Bootstrap(t.Context(), root, &Bootstrap{}); rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("bootstrap: %v", err)
	}
	h.TokensCopied = false
	if _, err := h.SetToken(t.Context(), root, &TokenChange{Token: Token{Local: true}, Create: true}); !errors.Is(err, errNoLocal) {
		t.Errorf("a local token: %v", err)
	}
	if _, err := h.SetAuthMethod(t.Context(), root, &AuthMethodChange{AuthMethod{Name: "m", Type: "jwt"}}); !errors.Is(err, errNoLocal) {
		t.Errorf("an auth method: %v", err)
	}
	if _, err := h.Login(t.Context(), root, &Login{AuthMethod: "m"}); !errors.Is(err, errNoLocal) {
		t.Errorf("a login: %v", err)
	}
	h.TokensCopied = true
	mine, theirs := Token{AccessorID: newID(), SecretID: newID(), AuthMethod: "m", Local: true}, &Token{AccessorID: newID(), SecretID: newID(), AuthMethod: "m"}
	for _, cmd := range []state.Command{&SetAuthMethod{AuthMethod{Name: "m", Type: "jwt"}}, &SetToken{Token: mine, Create: true}, &CopyTokens{Set: []*Token{theirs}}} {
		if _, err := h.Log.Apply(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := h.DeleteAuthMethod(t.Context(), root, &ByName{"m"}); err != nil || !was {
		t.Fatal(was, err)
	}
	tx := h.Log.DB().Read()
	if Tokens.Get(tx, mine.AccessorID) != nil || Tokens.Get(tx, theirs.AccessorID) == nil {
		t.Error("an auth method has taken with it what another one has made, or left what it has made itself")
	}
}

// A laggard is the log of a server that has not applied what the leader has, until it is asked for what is fresh.
type laggard struct {
	state.Log
	behind    *state.DB
	refreshed bool
	failing   bool // there is no leader
}

func (l *laggard) Fresh(ctx context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	if l.failing {
		<-ctx.Done()
		return state.ReadMeta{}, ctx.Err()
	}
	l.refreshed = true
	return l.Log.Fresh(ctx, opts)
}

func (l *laggard) DB() *state.DB {
	if l.refreshed {
		return l.Log.DB()
	}
	return l.behind
}

// A local token that was made a moment ago is a local one at each server, so that neither it nor what changes it goes elsewhere.
func TestLocalTokensOfThisMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSecondary(t)
		h.root = AllowAll()
		behind, err := state.NewLocal(1000, Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		mine := h.token(Token{Local: true})
		follower := func() (*laggard, *Authority, *rpc.Registry[Authorizer]) {
			log := &laggard{Log: h.Log, behind: behind.DB()}
			s, r := &Authority{Log: log, Datacenter: "dc2", Primary: "dc1", TokensCopied: true, Enabled: true}, new(rpc.Registry[Authorizer])
			rpc.Handle(r, SetTokenMethod, s.SetToken)
			rpc.Handle(r, CloneTokenMethod, s.CloneToken)
			rpc.Handle(r, DeleteTokenMethod, s.DeleteToken)
			rpc.Handle(r, LogoutMethod, s.Logout)
			rpc.Handle(r, SetPolicyMethod, s.SetPolicy)
			rpc.Handle(r, DeletePolicyMethod, s.DeletePolicy)
			rpc.Handle(r, SetRoleMethod, s.SetRole)
			rpc.Handle(r, DeleteRoleMethod, s.DeleteRole)
			s.Own(r)
			return log, s, r
		}
		calls := map[string]any{SetTokenMethod.Name: &TokenChange{Token: Token{AccessorID: mine.AccessorID}}, CloneTokenMethod.Name: &Clone{AccessorID: mine.AccessorID},
			DeleteTokenMethod.Name: &ByID{ID: strings.ToUpper(mine.AccessorID)}, LogoutMethod.Name: &struct{}{}}
		for method, args := range calls {
			_, _, r := follower()
			if owned, err := r.Owned(t.Context(), rpc.Header{Token: mine.SecretID}, method, args); owned || err != nil {
				t.Errorf("%s goes to the primary datacenter: %v", method, err)
			}
		}
		if _, s, _ := follower(); !s.LocalSecret(t.Context(), mine.SecretID) {
			t.Error("the token travels")
		}
		log, s, _ := follower()
		log.failing = true
		if begin := time.Now(); s.LocalSecret(t.Context(), newID()) || time.Since(begin) > doubt {
			t.Errorf("without a leader it took %v to find out", time.Since(begin))
		}
		s.TokensCopied = false
		if begin := time.Now(); s.LocalSecret(t.Context(), newID()) || time.Since(begin) > 0 {
			t.Error("a leader is asked where there are no local tokens")
		}
	})
}
