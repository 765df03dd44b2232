package main

import (
	"context"
	"flag"
	"strconv"
	"time"
)

// A replicatedPrefix is what /v1/operator/kv-replication tells of one.
type replicatedPrefix struct {
	Datacenter, Source, Destination string
	Exclude                         []string
	State, Cursor                   string
	SourceIndex, Index              uint64
	Synced                          *time.Time
	Behind                          string
	Written, Deleted                uint64
	Batches, Failures               uint64
	LastError                       string
	LastFailure                     *time.Time
	Upstream                        []struct{ Datacenter, Prefix string }
}

// failingCopy is the state of what is not copied.
const failingCopy = "failing"

func newKVReplication(fs *flag.FlagSet, c *console) runFunc {
	r := c.reportFlags(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := r.open(args)
		if err != nil {
			return err
		}
		var status struct{ Rules []replicatedPrefix }
		if err := cl.Get(ctx, "/v1/operator/kv-replication", nil, &status); err != nil {
			return failf("Error asking for the replication of keys: %w", err)
		}
		err = r.print(status.Rules, func() { c.tellReplication(status.Rules) })
		for _, rule := range status.Rules {
			if rule.State == failingCopy && err == nil {
				err = failf("Not all prefixes are copied.")
			}
		}
		return err
	}
}

func (c *console) tellReplication(prefixes []replicatedPrefix) {
	if len(prefixes) == 0 {
		c.printf("No keys are copied from other datacenters.\n")
		return
	}
	table := [][]string{{"Datacenter", "Source", "Destination", "State", "Behind", "Index", "Source Index", "Written", "Deleted"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, r := range prefixes {
		behind := r.Behind
		if behind == "" {
			behind = "unknown"
		}
		table = append(table, []string{r.Datacenter, strconv.Quote(r.Source), strconv.Quote(r.Destination), r.State, behind, number(r.Index), number(r.SourceIndex), number(r.Written), number(r.Deleted)})
	}
	c.columns(table)
	for _, r := range prefixes {
		if r.State == failingCopy {
			c.printf("\n%s %q: %s\n", r.Datacenter, r.Source, r.LastError)
		}
	}
}
