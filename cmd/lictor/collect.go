package main

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/cmd/lictor/client"
	"lictor/kv"
)

// exitJob is the code of exec if the command has failed on a node.
const exitJob = 2

// A reportedJob is what the nodes have told of a job so far.
type reportedJob struct {
	seen   map[string]bool // keys
	taken  []string        // nodes, in the order of their answers
	done   map[string]bool // nodes
	failed bool            // on a node
	partly map[string]string
}

// collect prints what nodes report, until all that have taken the job are done with it and nothing has come for a while.
func (x *execution) collect(ctx context.Context) error {
	job := &reportedJob{seen: map[string]bool{}, done: map[string]bool{}, partly: map[string]string{}}
	var index uint64
	for quiet := time.Now(); ; {
		entries, next, err := x.reports(ctx, index, time.Until(quiet.Add(x.options.wait)))
		if err != nil {
			return x.ended(ctx, "Failed to list results", err)
		}
		index = next
		if x.read(job, entries) {
			quiet = time.Now()
			continue
		}
		if time.Since(quiet) < x.options.wait {
			continue
		}
		if x.finished(ctx, job) {
			break
		}
		if ctx.Err() != nil {
			return x.ended(ctx, "", ctx.Err())
		}
		quiet = time.Now()
	}
	x.console.printf("%d / %d node(s) completed / acknowledged\n", len(job.done), len(job.taken))
	if len(job.taken) == 0 {
		x.console.printf("No agent has taken the job: agents do so only with disable_remote_exec = false in their configuration.\n")
	}
	if job.failed || len(job.done) < len(job.taken) {
		return &failure{code: exitJob}
	}
	return nil
}

// reports reads the keys of the job once they have changed since index, or after a while.
func (x *execution) reports(ctx context.Context, index uint64, wait time.Duration) ([]kv.Entry, uint64, error) {
	q := url.Values{"recurse": {""}, "wait": {max(wait, 10*time.Millisecond).String()}}
	a, err := client.Read(ctx, x.client, client.Request{Path: "/v1/kv/" + x.base(), Query: q}, index)
	if err != nil {
		return nil, 0, err
	}
	var entries []kv.Entry
	if !a.Missing {
		if err := json.Unmarshal(a.Body, &entries); err != nil {
			return nil, 0, err
		}
	}
	return entries, a.Newer(index), nil
}

// read prints what is new, and tells whether anything was. What a node has printed comes before its exit code.
func (x *execution) read(job *reportedJob, entries []kv.Entry) (news bool) {
	slices.SortStableFunc(entries, func(a, b kv.Entry) int { return strings.Compare(order(a.Key), order(b.Key)) })
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Key, x.base())
		if !ours || rest == "job" || job.seen[e.Key] {
			continue
		}
		job.seen[e.Key], news = true, true
		node, what, _ := strings.Cut(rest, "/")
		switch {
		case what == "ack":
			job.taken = append(job.taken, node)
			x.say("node %s has taken the job", node)
		case strings.HasPrefix(what, "out/"):
			x.output(job, node, string(e.Value))
		case what == "exit":
			x.exit(job, node, string(e.Value))
		}
	}
	return news
}

// order sorts keys such that exit codes come last.
func order(key string) string {
	if strings.HasSuffix(key, "/exit") {
		return "1" + key
	}
	return "0" + key
}

// output prints whole lines, each behind the name of its node. The rest of a line waits for what follows.
func (x *execution) output(job *reportedJob, node, text string) {
	text = job.partly[node] + text
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			break
		}
		x.console.printf("    %s: %s\n", node, line)
		text = rest
	}
	job.partly[node] = text
}

func (x *execution) exit(job *reportedJob, node, text string) {
	if rest := job.partly[node]; rest != "" {
		x.console.printf("    %s: %s\n", node, rest)
	}
	delete(job.partly, node)
	code, err := strconv.Atoi(text)
	if err != nil {
		x.console.warnf("The exit code of node %s is %q: it must be a number\n", node, text)
	}
	job.failed = job.failed || err != nil || code != 0
	job.done[node] = true
	x.console.printf("==> %s: finished with exit code %s\n", node, text)
}

// finished tells whether no node is still at work. One that is no longer alive is waited for no longer.
func (x *execution) finished(ctx context.Context, job *reportedJob) bool {
	for _, node := range job.taken {
		if !job.done[node] && x.alive(ctx, node) {
			return false
		}
	}
	for _, node := range job.taken {
		if !job.done[node] && ctx.Err() == nil {
			x.console.warnf("node %s has taken the job, and is not alive any more\n", node)
		}
	}
	return ctx.Err() == nil
}

// alive tells whether the cluster takes a node for alive. A doubt is in the node's favour.
func (x *execution) alive(ctx context.Context, node string) bool {
	var checks []struct{ CheckID, Status string }
	if err := x.client.Get(ctx, "/v1/health/node/"+node, nil, &checks); err != nil {
		return true
	}
	for _, c := range checks {
		if c.CheckID == "serfHealth" {
			return c.Status != "critical"
		}
	}
	return false
}
