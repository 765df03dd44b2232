package main

import (
	"context"
	"flag"
	"net/http"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

// An atRest is what /v1/agent/at-rest tells.
type atRest struct {
	File, Writes string
	Under        []struct {
		Key                       string
		Entries, Snapshots, Files int
	}
	Unused        []string
	Done, Restart bool
}

func newAtRestStatus(fs *flag.FlagSet, c *console) runFunc {
	return atRestCommand(fs, c, client.Request{Method: http.MethodGet, Path: "/v1/agent/at-rest"})
}

func newAtRestRotate(fs *flag.FlagSet, c *console) runFunc {
	return atRestCommand(fs, c, client.Request{Method: http.MethodPut, Path: "/v1/agent/at-rest/rotate"})
}

// atRestCommand asks the agent and prints what it says. A rotation that is not complete fails.
func atRestCommand(fs *flag.FlagSet, c *console, r client.Request) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var now atRest
		if err := cl.Call(ctx, r, &now); err != nil {
			return failf("Error asking the agent: %w", err)
		}
		c.tellAtRest(&now)
		if r.Method == http.MethodPut && !now.Done {
			return failf("Something was left. Run the command again.")
		}
		return nil
	}
}

// nameOf is a key as it is printed.
func nameOf(key string) string {
	if key == "" {
		return "plaintext"
	}
	return key
}

func (c *console) tellAtRest(now *atRest) {
	table := [][]string{{"Key", "Log Entries", "Snapshots", "Files", "Writes"}}
	seen := false
	for _, u := range now.Under {
		seen = seen || u.Key == now.Writes
		table = append(table, []string{nameOf(u.Key), strconv.Itoa(u.Entries), strconv.Itoa(u.Snapshots), strconv.Itoa(u.Files), strconv.FormatBool(u.Key == now.Writes)})
	}
	if !seen {
		table = append(table, []string{nameOf(now.Writes), "0", "0", "0", "true"})
	}
	c.columns(table)
	switch {
	case !now.Done:
		c.printf("\nNot all is under %s: lictor operator at-rest rotate brings it there.\n", nameOf(now.Writes))
	case now.Restart:
		c.printf("\nAll is under %s, but raft/raft.db may have remains of what was deleted. Restart this agent once, which writes it anew.\n", nameOf(now.Writes))
	case now.Writes == "":
		c.printf("\nNothing is encrypted.\n")
	default:
		c.printf("\nAll is under %s, and nothing else is left.\n", now.Writes)
	}
	if len(now.Unused) > 0 && !now.Restart {
		c.printf("May go from %s: %s\n", now.File, strings.Join(now.Unused, ", "))
	}
}
