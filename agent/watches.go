package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"lictor/watch"
)

// watches are those of the configuration that run now. A reload leaves alone what has not changed, so that nothing is
// delivered twice.
type watches struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	running map[string]*handled // by definition
}

// A handled watch runs until stop is called, and has ended when done is closed.
type handled struct {
	stop context.CancelFunc
	done chan struct{}
}

// startWatches runs the handlers of the configuration.
func (a *Agent) startWatches() error {
	a.watches.running = map[string]*handled{}
	a.cleanups.add(func() error {
		a.replaceWatches(nil)
		a.watches.mu.Lock()
		defer a.watches.mu.Unlock()
		a.watches.stopped = true
		return nil
	})
	a.replaceWatches(a.cfg.Watches.Definitions())
	return nil
}

// replaceWatches ends the watches that are no longer wanted, waits until their handlers are gone, and starts new ones.
func (a *Agent) replaceWatches(definitions []watch.Definition) {
	w := &a.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.running == nil {
		return
	}
	wanted := map[string]watch.Definition{}
	for _, d := range definitions {
		wanted[identity(d, wanted)] = d
	}
	var ending []*handled
	for id, h := range w.running {
		if _, ok := wanted[id]; !ok {
			h.stop()
			ending = append(ending, h)
			delete(w.running, id)
		}
	}
	for _, h := range ending {
		<-h.done
	}
	for id, d := range wanted {
		if w.running[id] == nil {
			w.running[id] = a.handle(d)
		}
	}
}

// identity is what distinguishes a definition from others, also from the same once more.
func identity(d watch.Definition, taken map[string]watch.Definition) string {
	text, _ := json.Marshal(struct {
		watch.Definition
		Kind string
	}{d, fmt.Sprintf("%T", d.Handler)})
	for n := 0; ; n++ {
		id := fmt.Sprintf("%d %s", n, text)
		if _, ok := taken[id]; !ok {
			return id
		}
	}
}

// handle follows one watch in a goroutine of its own, until the watch is stopped.
func (a *Agent) handle(d watch.Definition) *handled {
	ctx, cancel := context.WithCancel(a.ctx)
	h := &handled{stop: cancel, done: make(chan struct{})}
	log := a.log.With("module", "agent.watch", "type", d.Type)
	source := &ownAPI{handler: a.http, token: d.Token, datacenter: d.Datacenter, stale: d.Stale}
	a.running.Go(func() {
		defer close(h.done)
		defer cancel()
		w, err := watch.New(source, d.Query)
		if err != nil {
			log.Error("a watch cannot run", "error", err)
			return
		}
		_ = w.Run(ctx, func(c watch.Change) error {
			output, err := d.Handler.Handle(ctx, c)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				log.Error("the handler of a watch has failed", "error", err, "index", c.Index, "output", output)
			default:
				log.Debug("the handler of a watch has run", "index", c.Index, "output", output)
			}
			return nil
		}, func(err error, next time.Duration) {
			log.Error("a watch gets no answer", "error", err, "again_in", next)
		})
	})
	return h
}

// ownAPI asks this agent's own API, without a connection.
type ownAPI struct {
	handler           http.Handler
	token, datacenter string
	stale             bool
}

// Ask implements watch.Source.
func (o *ownAPI) Ask(ctx context.Context, q watch.Question) (watch.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+q.Path, nil)
	if err != nil {
		return watch.Answer{}, err
	}
	r.URL.Path = q.Path + q.Name
	r.URL.RawPath = q.Path + strings.ReplaceAll(url.PathEscape(q.Name), ".", "%2E")
	r.URL.RawQuery = o.parameters(q).Encode()
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = "127.0.0.1:0"
	if o.token != "" {
		r.Header.Set("X-Consul-Token", o.token)
	}
	got := &recorder{header: http.Header{}}
	o.handler.ServeHTTP(got, r)
	switch {
	case ctx.Err() != nil:
		return watch.Answer{}, ctx.Err()
	case got.full:
		return watch.Answer{}, errors.New("the answer is larger than a watch can take")
	}
	answer := watch.Answer{Hash: got.header.Get("X-Consul-ContentHash")}
	answer.Index, _ = strconv.ParseUint(got.header.Get("X-Consul-Index"), 10, 64)
	switch got.status {
	case 0, http.StatusOK:
		answer.Body = got.body.Bytes()
	case http.StatusNotFound:
		answer.Missing = true
	default:
		return watch.Answer{}, fmt.Errorf("Unexpected response code: %d (%s)", got.status, bytes.TrimSpace(got.body.Bytes()))
	}
	return answer, nil
}

func (o *ownAPI) parameters(q watch.Question) url.Values {
	out := url.Values{}
	for name, values := range q.Query {
		out[name] = values
	}
	if o.datacenter != "" {
		out.Set("dc", o.datacenter)
	}
	if o.stale {
		out.Set("stale", "")
	}
	if q.Index > 0 {
		out.Set("index", strconv.FormatUint(q.Index, 10))
	}
	if q.Hash != "" {
		out.Set("hash", q.Hash)
	}
	return out
}

// maxAnswer is how large a watched answer may be, in bytes.
const maxAnswer = 64 << 20

// A recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	full   bool // there was more than it keeps
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.full = r.full || r.body.Len()+len(b) > maxAnswer; r.full {
		return len(b), nil
	}
	return r.body.Write(b)
}
