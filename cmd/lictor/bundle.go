package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"lictor/cmd/lictor/client"
)

// A bundle is one run of debug: a directory that fills with files and is packed at the end.
type bundle struct {
	options debugOptions
	client  *client.Client
	console *console
	dir     string

	self struct {
		Config      struct{ NodeName, Datacenter, Version string }
		DebugConfig struct {
			EnableDebug bool
			Logging     struct{ LogFilePath string }
		}
	}

	mu     sync.Mutex // guards the errors and the console
	errors []string
}

// record captures until the time is over or the context ends, and writes what there is by then.
func (b *bundle) record(ctx context.Context) error {
	if err := b.client.Get(ctx, "/v1/agent/self", nil, &b.self); err != nil {
		return failf("Error querying target agent: %w", err)
	}
	profiles := b.options.wants("pprof")
	if profiles && !b.self.DebugConfig.EnableDebug {
		// Without enable_debug a token decides.
		if err := b.mayProfile(ctx); err != nil {
			profiles = false
			b.failed("pprof", err)
			b.console.warnf("For profiles set enable_debug on the agent or, where there are ACLs, use a token with operator:read.\n")
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(b.options.output), ".debug-")
	if err != nil {
		return failf("Error creating output directory: %w", err)
	}
	b.dir = dir
	defer os.RemoveAll(dir)

	b.console.printf("Capturing %s of agent %s for %s, every %s.\n", &b.options.capture, b.self.Config.NodeName, b.options.duration, b.options.interval)
	start := time.Now()
	b.captureOnce(ctx)
	b.oldLogs()
	b.captureChanges(ctx, profiles)
	if err := b.index(start); err != nil {
		return failf("Error writing index: %w", err)
	}
	if err := b.finish(); err != nil {
		return failf("Error writing %s: %w", b.options.target(), err)
	}
	if ctx.Err() != nil {
		b.console.printf("Interrupted after %s.\n", time.Since(start).Round(time.Second))
	}
	b.console.printf("Saved debug archive: %s\n", b.options.target())
	return nil
}

// captureOnce takes what does not change while the bundle is recorded.
func (b *bundle) captureOnce(ctx context.Context) {
	for _, once := range []struct {
		target, path string
	}{
		{"agent", "/v1/agent/self"},
		{"host", "/v1/agent/host"},
	} {
		if b.options.wants(once.target) {
			r := client.Request{Method: http.MethodGet, Path: once.path}
			b.failed(once.target, b.fetch(ctx, once.target+".json", r))
		}
	}
	if b.options.wants("members") {
		b.failed("members", b.members(ctx))
	}
}

// members writes one list of the members of both pools. Those of the WAN pool have the datacenter in their names.
func (b *bundle) members(ctx context.Context) error {
	var lan, wan []json.RawMessage
	err := errors.Join(b.client.Get(ctx, "/v1/agent/members", nil, &lan),
		b.client.Get(ctx, "/v1/agent/members", url.Values{"wan": {"1"}}, &wan))
	text, failed := json.Marshal(append(append([]json.RawMessage{}, lan...), wan...))
	if failed != nil {
		return failed
	}
	return errors.Join(err, b.write("members.json", text))
}

// captureChanges takes what changes, each kind by a goroutine of its own, and waits for all of them. The end of the time
// ends what goes on for ever; the end of the context ends everything.
func (b *bundle) captureChanges(ctx context.Context, profiles bool) {
	until, cancel := context.WithTimeout(ctx, b.options.duration)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	if b.options.wants("logs") {
		group.Go(func() { b.failed("logs", b.logs(until)) })
	}
	if profiles {
		group.Go(func() { b.failed("profile", b.profile(ctx, "profile", "profile.prof")) })
		group.Go(func() { b.failed("trace", b.profile(ctx, "trace", "trace.out")) })
	}
	b.captureIntervals(ctx, until.Done(), profiles)
}

// captureIntervals looks at metrics and at the heap now and at each interval, until the time is over.
func (b *bundle) captureIntervals(ctx context.Context, over <-chan struct{}, profiles bool) {
	tick := time.NewTicker(b.options.interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		if b.options.wants("metrics") {
			b.failed("metrics", b.append(ctx, "metrics.json", client.Request{Method: http.MethodGet, Path: "/v1/agent/metrics"}))
		}
		if profiles {
			for _, kind := range []string{"heap", "goroutine"} {
				r := client.Request{Method: http.MethodGet, Path: "/debug/pprof/" + kind}
				b.failed(kind, b.fetch(ctx, filepath.Join(strconv.Itoa(n), kind+".prof"), r))
			}
		}
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

// mayProfile asks the agent for the least of its profiles, and returns why it does not give it.
func (b *bundle) mayProfile(ctx context.Context) error {
	res, err := b.client.Do(ctx, client.Request{Method: http.MethodGet, Path: "/debug/pprof/cmdline"})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// profile takes one profile of the whole time.
func (b *bundle) profile(ctx context.Context, kind, name string) error {
	seconds := strconv.Itoa(int(b.options.duration.Seconds()))
	return b.fetch(ctx, name, client.Request{Method: http.MethodGet, Path: "/debug/pprof/" + kind, Query: url.Values{"seconds": {seconds}}})
}

func (b *bundle) logs(ctx context.Context) error {
	file, err := os.Create(filepath.Join(b.dir, "consul.log"))
	if err != nil {
		return err
	}
	return errors.Join(copyLog(ctx, b.client, logRequest{to: file, level: "TRACE"}), file.Close())
}

// fetch writes the answer to a request to a file.
func (b *bundle) fetch(ctx context.Context, name string, r client.Request) error {
	return b.save(ctx, name, r, os.O_TRUNC)
}

// append adds the answer to a request to a file.
func (b *bundle) append(ctx context.Context, name string, r client.Request) error {
	return b.save(ctx, name, r, os.O_APPEND)
}

func (b *bundle) save(ctx context.Context, name string, r client.Request, mode int) error {
	// A profile that runs to the end of the time is answered a moment later.
	ctx, cancel := context.WithTimeout(ctx, b.options.duration+minDebugInterval)
	defer cancel()
	res, err := b.client.Do(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, res.Body)
	return errors.Join(err, file.Close())
}

func (b *bundle) write(name string, content []byte) error {
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// failed notes that a part of the bundle could not be had; the others go on. What the end of the time cut short has
// not failed.
func (b *bundle) failed(what string, err error) {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, fmt.Sprintf("%s: %s", what, err))
	b.console.warnf("Could not capture %s: %s\n", what, err)
}

// index writes what the bundle is of.
func (b *bundle) index(start time.Time) error {
	text, err := json.MarshalIndent(map[string]any{
		"Node": b.self.Config.NodeName, "Datacenter": b.self.Config.Datacenter, "AgentVersion": b.self.Config.Version,
		"Interval": b.options.interval.String(), "Duration": b.options.duration.String(), "Targets": b.options.capture,
		"Start": start.UTC(), "End": time.Now().UTC(), "Errors": b.errors,
	}, "", "\t")
	if err != nil {
		return err
	}
	return b.write("index.json", text)
}

// finish packs the directory, or gives it its name.
func (b *bundle) finish() error {
	if !b.options.archive {
		return os.Rename(b.dir, b.options.output)
	}
	file, err := os.OpenFile(b.options.target(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(pack(file, b.dir, filepath.Base(b.options.output)), file.Close())
}

// pack writes a directory as .tar.gz in which all files are below a directory called root.
func pack(w io.Writer, dir, root string) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(filepath.Join(root, name)), Mode: 0o600, Size: int64(len(content)), ModTime: time.Now()}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		_, err = t.Write(content)
		return err
	})
	return errors.Join(err, t.Close(), z.Close())
}
