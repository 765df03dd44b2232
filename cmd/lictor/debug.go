package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// debugTargets are what debug can capture.
const debugTargets = "agent host members metrics logs pprof"

// The least that makes sense: a slower agent would not answer in time.
const (
	minDebugDuration = 10 * time.Second
	minDebugInterval = 5 * time.Second
)

// debugOptions are the flags of debug.
type debugOptions struct {
	capture            list
	duration, interval time.Duration
	output             string
	since              string
	archive            bool
}

func newDebug(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o debugOptions
	fs.BoolVar(&o.archive, "archive", true, "Pack what was captured as .tar.gz. Otherwise it stays a directory.")
	fs.Var(&o.capture, "capture", "What to capture, a `target`: "+strings.Join(strings.Fields(debugTargets), ", ")+". May be repeated. Default: all.")
	fs.DurationVar(&o.duration, "duration", 2*time.Minute, "How long to capture, a `duration` of at least 10s.")
	fs.DurationVar(&o.interval, "interval", 30*time.Second, "How often to look at what changes, a `duration` of at least 5s.")
	fs.StringVar(&o.output, "output", "", "The `path` to write to, without .tar.gz. Default: consul-debug- and the time.")
	fs.StringVar(&o.since, "since", "", "Copy the agent's log files that were written during this `duration` up to now, 72h or 3d say, if they are on this host.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if err := o.complete(); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		b := &bundle{options: o, client: cl, console: c}
		return b.record(ctx)
	}
}

// complete fills in what follows from other flags, and refuses what cannot work.
func (o *debugOptions) complete() error {
	known := strings.Fields(debugTargets)
	if len(o.capture) == 0 {
		o.capture = known
	}
	for i, target := range o.capture {
		if target == "cluster" { // as members was called before
			o.capture[i] = "members"
			continue
		}
		if !slices.Contains(known, target) {
			return usagef("Unknown capture target %q: allowed are %s", target, strings.Join(known, ", "))
		}
	}
	switch {
	case o.duration < minDebugDuration:
		return usagef("-duration is %s: it must be at least %s", o.duration, minDebugDuration)
	case o.interval < minDebugInterval:
		return usagef("-interval is %s: it must be at least %s", o.interval, minDebugInterval)
	case o.interval > o.duration:
		return usagef("-interval is %s: it must not be longer than -duration, %s", o.interval, o.duration)
	}
	if _, err := o.age(); err != nil {
		return usagef("-since is %q: it must be a duration such as 72h or 3d", o.since)
	}
	if o.output == "" {
		o.output = "consul-debug-" + time.Now().UTC().Format("2006-01-02T15-04-05Z")
	}
	if _, err := os.Stat(o.target()); err == nil {
		return failf("%s exists already: name another path with -output", o.target())
	}
	return nil
}

// target is the name of what is written.
func (o *debugOptions) target() string {
	if o.archive {
		return o.output + ".tar.gz"
	}
	return o.output
}

// age is -since as a duration, zero if it was not given.
func (o *debugOptions) age() (time.Duration, error) {
	days, ok := strings.CutSuffix(o.since, "d")
	switch {
	case o.since == "":
		return 0, nil
	case ok:
		d, err := time.ParseDuration(days + "h")
		return 24 * d, err
	default:
		return time.ParseDuration(o.since)
	}
}

// wants tells whether a target was chosen.
func (o *debugOptions) wants(target string) bool { return slices.Contains(o.capture, target) }

// oldLogs copies the agent's log files that were written to in the time that -since names.
func (b *bundle) oldLogs() {
	age, _ := b.options.age()
	if age == 0 {
		return
	}
	path := b.self.DebugConfig.Logging.LogFilePath
	if path == "" {
		b.console.warnf("-since has no effect: the agent writes no log files.\n")
		return
	}
	if !strings.HasSuffix(path, string(filepath.Separator)) {
		path = strings.TrimSuffix(path, filepath.Ext(path))
	}
	names, _ := filepath.Glob(path + "*")
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() || time.Since(info.ModTime()) > age {
			continue
		}
		content, err := os.ReadFile(name)
		if err == nil {
			err = b.write(filepath.Join("logs", filepath.Base(name)), content)
		}
		b.failed(fmt.Sprintf("copy %s", name), err)
	}
}
