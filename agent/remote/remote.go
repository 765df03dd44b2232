// Package remote runs the jobs of lictor exec on this node. A job is told of by an event, described by a key, and lives as
// long as a session; what it prints, and how it ends, is written to keys beside it. The package knows how a job is
// described and reported, and nothing of how keys and sessions are kept.
//
//	PREFIX/SESSION/job              the Job, as JSON
//	PREFIX/SESSION/NODE/ack         empty: the node has taken the job
//	PREFIX/SESSION/NODE/out/00000   what it printed, piece by piece
//	PREFIX/SESSION/NODE/exit        its exit code, in digits
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"lictor/process"
)

// Limits of jobs.
const (
	maxJobs     = 4         // at once; more wait
	maxQueue    = 64        // of those that wait; more are dropped
	maxTime     = time.Hour // of one job
	checkPeriod = 2 * time.Second
	maxPrefix   = 512
)

// failed is the exit code of a job that could not run, or was killed.
const failed = 255

// A Job is what to run: a script, or arguments without a shell, or a command for the shell.
type Job struct {
	Command string   `json:",omitempty"`
	Args    []string `json:",omitempty"`
	Script  []byte   `json:",omitempty"`
	Wait    time.Duration
}

// A Call is the payload of the event that tells of a job.
type Call struct{ Prefix, Session string }

var sessionID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// ReadCall reads the payload of an event.
func ReadCall(payload []byte) (Call, error) {
	var c Call
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("read the call: %w", err)
	}
	c.Prefix = strings.TrimSuffix(c.Prefix, "/")
	switch {
	case c.Prefix == "" || len(c.Prefix) > maxPrefix:
		return c, fmt.Errorf("the prefix of the call has %d bytes, but must have 1 to %d", len(c.Prefix), maxPrefix)
	case !sessionID.MatchString(c.Session):
		return c, errors.New("the session of the call is not a UUID")
	}
	return c, nil
}

// A Store keeps keys and sessions.
type Store interface {
	// Get reads a key, nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put writes a key and locks it for a session, and tells whether it could: a session that is gone locks nothing.
	Put(ctx context.Context, key string, value []byte, session string) (bool, error)
	// Lives tells whether a session is there.
	Lives(ctx context.Context, session string) (bool, error)
}

// A Runner runs jobs. Wait returns when all have ended.
type Runner struct {
	store Store
	node  string
	log   *slog.Logger

	slots   chan struct{}
	queue   chan struct{}
	running sync.WaitGroup
}

// New makes a Runner for a node.
func New(store Store, node string, log *slog.Logger) *Runner {
	return &Runner{store: store, node: node, log: log, slots: make(chan struct{}, maxJobs), queue: make(chan struct{}, maxJobs+maxQueue)}
}

// Start runs the job of a call in a goroutine, until it ends by itself, its session does, or ctx.
func (r *Runner) Start(ctx context.Context, c Call) {
	select {
	case r.queue <- struct{}{}:
	default:
		r.log.Warn("a job is dropped: too many wait already", "session", c.Session)
		return
	}
	r.running.Go(func() {
		defer func() { <-r.queue }()
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-r.slots }()
		if err := r.run(ctx, c); err != nil && ctx.Err() == nil {
			r.log.Warn("a job has failed", "session", c.Session, "error", err)
		}
	})
}

// Wait returns when no job runs any more.
func (r *Runner) Wait() { r.running.Wait() }

func (r *Runner) run(ctx context.Context, c Call) error {
	base := c.Prefix + "/" + c.Session + "/"
	text, err := r.store.Get(ctx, base+"job")
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	if text == nil {
		return errors.New("there is no such job: its session has ended")
	}
	var job Job
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	report := &report{store: r.store, session: c.Session, base: base + r.node + "/"}
	if err := report.put(ctx, "ack", nil); err != nil {
		return fmt.Errorf("take the job: %w", err)
	}
	r.log.Info("a job begins", "session", c.Session, "command", job.Command)
	timed, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	code, err := r.carryOut(timed, job, report)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case timed.Err() != nil:
		code, err = failed, report.say(ctx, fmt.Sprintf("[killed after %s]", maxTime))
	}
	if err != nil {
		return err
	}
	r.log.Info("a job has ended", "session", c.Session, "exit", code)
	return report.put(ctx, "exit", []byte(strconv.Itoa(code)))
}

// carryOut runs a job and reports what it prints. That it could not run is part of the report, and no error.
func (r *Runner) carryOut(ctx context.Context, job Job, report *report) (int, error) {
	args, cleanup, err := job.arguments()
	defer cleanup()
	if err != nil {
		return failed, report.say(ctx, err.Error())
	}
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	out := newChunks()
	var sending sync.WaitGroup
	var sent error
	sending.Go(func() {
		if sent = report.send(alive, out); sent != nil {
			cancel() // nobody is there any more to read it
		}
	})
	sending.Go(func() { r.watch(alive, report.session, cancel) })
	code, err := process.Run(alive, process.Command{Args: args, Output: out})
	if err != nil {
		fmt.Fprintf(out, "%s\n", err)
		code = failed
	}
	out.close()
	if code < 0 {
		code = failed
	}
	select {
	case <-out.drained:
	case <-alive.Done():
	}
	cancel()
	sending.Wait()
	return code, sent
}

// watch calls lost once the session has ended.
func (r *Runner) watch(ctx context.Context, session string, lost func()) {
	tick := time.NewTicker(checkPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if lives, err := r.store.Lives(ctx, session); err == nil && !lives {
				lost()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// arguments are what to run, and cleanup removes what they need afterwards.
func (j Job) arguments() (args []string, cleanup func(), err error) {
	cleanup = func() {}
	switch {
	case len(j.Script) > 0:
		file, err := os.CreateTemp("", "rexec-")
		if err != nil {
			return nil, cleanup, err
		}
		cleanup = func() { os.Remove(file.Name()) }
		_, err = file.Write(j.Script)
		err = errors.Join(err, file.Chmod(0o700), file.Close())
		if strings.HasPrefix(string(j.Script), "#!") {
			return []string{file.Name()}, cleanup, err
		}
		return []string{"/bin/sh", file.Name()}, cleanup, err
	case len(j.Args) > 0:
		return j.Args, cleanup, nil
	case j.Command != "":
		return process.Shell(j.Command), cleanup, nil
	}
	return nil, cleanup, errors.New("the job names nothing to run")
}
