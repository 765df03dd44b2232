package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lictor/cmd/lictor/client"
	"lictor/pace"
)

// execOptions are the flags of exec.
type execOptions struct {
	eventFilter
	prefix     string
	shell      bool
	verbose    bool
	wait       time.Duration
	waitCopied time.Duration
}

// maxScript is how large a script may be, in bytes: a job is one value of a key, in base64.
const maxScript = 256 << 10

func newExec(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o execOptions
	fs.StringVar(&o.node, "node", "", "On nodes only whose name matches this regular `expression`.")
	fs.StringVar(&o.service, "service", "", "On nodes only with a service whose name matches this regular `expression`.")
	fs.StringVar(&o.tag, "tag", "", "For services only with a tag that matches this regular `expression`. Needs -service.")
	fs.StringVar(&o.prefix, "prefix", "_rexec", "The `prefix` of the keys that the job is kept in while it runs.")
	fs.BoolVar(&o.shell, "shell", true, "Let a shell run the command on each node.")
	fs.BoolVar(&o.verbose, "verbose", false, "Say what happens to the job.")
	fs.DurationVar(&o.wait, "wait", time.Second, "End when all nodes that have taken the job are done with it, and nothing has come for this `duration`.")
	fs.DurationVar(&o.waitCopied, "wait-repl", 200*time.Millisecond, "Give the servers this `duration` to copy the job before nodes are told of it.")
	return func(ctx context.Context, args []string) error {
		if err := o.check(); err != nil {
			return err
		}
		cn.stale = false // what a node reports is wanted as it is now
		cl, err := cn.client()
		if err != nil {
			return err
		}
		x := &execution{console: c, client: cl, options: o, datacenter: cn.datacenter}
		if err := x.describe(args); err != nil {
			return err
		}
		return x.run(ctx)
	}
}

func (o *execOptions) check() error {
	o.prefix = strings.Trim(o.prefix, "/")
	switch {
	case o.prefix == "":
		return usagef("-prefix must not be empty")
	case o.wait <= 0:
		return usagef("-wait is %s: it must be more than nothing", o.wait)
	case o.waitCopied < 0:
		return usagef("-wait-repl is %s: it must not be negative", o.waitCopied)
	}
	return o.eventFilter.check()
}

// An execution is one job, from its session to the end of that.
type execution struct {
	console    *console
	client     *client.Client
	options    execOptions
	datacenter string // "" is the agent's own

	job struct {
		Command string   `json:",omitempty"`
		Args    []string `json:",omitempty"`
		Script  []byte   `json:",omitempty"`
		Wait    time.Duration
	}
	session string
}

// describe makes the job of the command line; a dash means a script on standard input.
func (x *execution) describe(args []string) error {
	x.job.Wait = x.options.wait
	switch {
	case len(args) == 0:
		return usagef("Must specify a command to execute")
	case len(args) == 1 && args[0] == "-":
		script, err := io.ReadAll(io.LimitReader(x.console.in, maxScript+1))
		if err != nil {
			return failf("Failed to read stdin: %w", err)
		}
		if len(script) == 0 || len(script) > maxScript {
			return failf("The script on standard input has %d bytes, but must have 1 to %d", len(script), maxScript)
		}
		x.job.Script = script
	case x.options.shell:
		x.job.Command = strings.Join(args, " ")
	default:
		x.job.Args = args
	}
	return nil
}

// cleanTime bounds what is done after the job.
const cleanTime = 15 * time.Second

func (x *execution) run(ctx context.Context) (err error) {
	if err := x.begin(ctx); err != nil {
		return err
	}
	defer func() {
		// The job ends on all nodes with its session, and its keys go.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		if failed := x.clean(ctx); failed != nil && err == nil {
			err = failf("Failed to clean up: %w", failed)
		}
	}()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		x.keep(ctx, lost)
	}()
	defer func() { lost(nil); <-kept }()
	if err := x.publish(ctx); err != nil {
		return err
	}
	return x.collect(ctx)
}

// execTTL is how long a job outlives a command line that has vanished, at least.
const execTTL = 15 * time.Second

// begin makes the session. Of another datacenter it is bound to a server there, as the agent's own node is not known there.
func (x *execution) begin(ctx context.Context) error {
	request := map[string]any{"Name": "Remote Exec", "Behavior": "delete", "TTL": execTTL.String()}
	if x.datacenter != "" {
		var servers []struct{ Node struct{ Node string } }
		if err := x.client.Get(ctx, "/v1/health/service/consul", url.Values{"passing": {"1"}}, &servers); err != nil {
			return failf("Failed to find a server of datacenter %s: %w", x.datacenter, err)
		}
		if len(servers) == 0 {
			return failf("Datacenter %s has no server whose checks pass", x.datacenter)
		}
		request["Node"] = servers[0].Node.Node
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := x.client.Call(ctx, client.Request{Method: http.MethodPut, Path: "/v1/session/create", Body: strings.NewReader(string(body))}, &made); err != nil {
		return failf("Failed to create session: %w", err)
	}
	x.session = made.ID
	x.say("Created remote execution session: %s", x.session)
	return nil
}

// keep renews the session until ctx ends. It calls lost if the session has ended.
func (x *execution) keep(ctx context.Context, lost func(error)) {
	tick := time.NewTicker(execTTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := x.client.Put(ctx, "/v1/session/renew/"+x.session, nil, nil); client.NotFound(err) {
				lost(failf("The session of the job has ended, and the job with it"))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// base is what all keys of the job begin with.
func (x *execution) base() string { return x.options.prefix + "/" + x.session + "/" }

// publish writes the job and tells the nodes of it.
func (x *execution) publish(ctx context.Context) error {
	text, err := json.Marshal(x.job)
	if err != nil {
		return err
	}
	var done bool
	r := client.Request{Method: http.MethodPut, Path: "/v1/kv/" + x.base() + "job", Query: url.Values{"acquire": {x.session}}, Body: strings.NewReader(string(text))}
	if err := x.client.Call(ctx, r, &done); err != nil || !done {
		return x.ended(ctx, "Failed to create job file", err)
	}
	x.say("Uploaded remote execution spec")
	if err := pace.Rest(ctx, x.options.waitCopied); err != nil {
		return x.ended(ctx, "Interrupted", err)
	}
	call, err := json.Marshal(map[string]string{"Prefix": x.options.prefix, "Session": x.session})
	if err != nil {
		return err
	}
	var fired struct{ ID string }
	r = client.Request{Method: http.MethodPut, Path: "/v1/event/fire/_rexec", Query: x.options.query(), Body: strings.NewReader(string(call))}
	if err := x.client.Call(ctx, r, &fired); err != nil {
		return x.ended(ctx, "Failed to fire event", err)
	}
	x.say("Fired remote execution event: %s", fired.ID)
	return nil
}

// ended is the error of a step: what has ended the job, if something has.
func (x *execution) ended(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if ctx.Err() != nil {
		return failf("Interrupted: the job is ended on all nodes")
	}
	if err == nil {
		return failf("%s: the session has ended", what)
	}
	return failf("%s: %w", what, err)
}

// clean ends the session, and with it the job, and removes what was reported.
func (x *execution) clean(ctx context.Context) error {
	err := x.client.Put(ctx, "/v1/session/destroy/"+x.session, nil, nil)
	r := client.Request{Method: http.MethodDelete, Path: "/v1/kv/" + x.base(), Query: url.Values{"recurse": {""}}}
	if failed := x.client.Call(ctx, r, nil); err == nil {
		err = failed
	}
	return err
}

func (x *execution) say(format string, args ...any) {
	if x.options.verbose {
		x.console.printf("--> "+format+"\n", args...)
	}
}
