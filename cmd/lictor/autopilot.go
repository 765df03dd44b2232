package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/catalog"
	"lictor/cmd/lictor/client"
)

const autopilotPath = "/v1/operator/autopilot/configuration"

// An autopilotConfig is /v1/operator/autopilot/configuration.
type autopilotConfig struct {
	CleanupDeadServers      bool
	LastContactThreshold    catalog.Duration
	MaxTrailingLogs         uint64
	MinQuorum               uint64
	ServerStabilizationTime catalog.Duration
	RedundancyZoneTag       string
	DisableUpgradeMigration bool
	UpgradeVersionTag       string
	CreateIndex             uint64
	ModifyIndex             uint64
}

func newAutopilotGetConfig(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var a autopilotConfig
		if err := cl.Get(ctx, autopilotPath, nil, &a); err != nil {
			return failf("Error querying Autopilot configuration: %w", err)
		}
		c.printf("CleanupDeadServers = %t\n", a.CleanupDeadServers)
		c.printf("LastContactThreshold = %s\n", a.LastContactThreshold)
		c.printf("MaxTrailingLogs = %d\n", a.MaxTrailingLogs)
		c.printf("MinQuorum = %d\n", a.MinQuorum)
		c.printf("ServerStabilizationTime = %s\n", a.ServerStabilizationTime)
		c.printf("RedundancyZoneTag = %q\n", a.RedundancyZoneTag)
		c.printf("DisableUpgradeMigration = %t\n", a.DisableUpgradeMigration)
		c.printf("UpgradeVersionTag = %q\n", a.UpgradeVersionTag)
		return nil
	}
}

// An autopilotChange holds what is to be changed; what was not given stays.
type autopilotChange struct {
	cleanup, noMigration   optional[bool]
	contact, stabilization optional[time.Duration]
	trailing, quorum       optional[uint64]
	zone, version          optional[string]
}

func newAutopilotSetConfig(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var change autopilotChange
	fs.Var(choice(&change.cleanup), "cleanup-dead-servers", "Whether to remove servers that have failed once another has joined.")
	fs.Var(choice(&change.noMigration), "disable-upgrade-migration", "Whether to keep newer servers from replacing older ones.")
	fs.Var(span(&change.contact), "last-contact-threshold", "How long a healthy server may have heard nothing from the leader, a `duration`.")
	fs.Var(count(&change.trailing), "max-trailing-logs", "By how many log entries a healthy server may trail the leader, a `number`.")
	fs.Var(count(&change.quorum), "min-quorum", "Below which `number` of servers none is removed.")
	fs.Var(text(&change.zone), "redundancy-zone-tag", "The node metadata `key` that names a server's redundancy zone.")
	fs.Var(span(&change.stabilization), "server-stabilization-time", "How long a server must be healthy before it may vote, a `duration`.")
	fs.Var(text(&change.version), "upgrade-version-tag", "The node metadata `key` that holds a server's version for upgrades.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var a autopilotConfig
		if err := cl.Get(ctx, autopilotPath, nil, &a); err != nil {
			return failf("Error querying Autopilot configuration: %w", err)
		}
		change.apply(&a)
		done, err := swapAutopilot(ctx, cl, a)
		switch {
		case err != nil:
			return failf("Error setting Autopilot configuration: %w", err)
		case !done:
			return failf("Configuration could not be atomically updated, please try again")
		}
		c.printf("Configuration updated!\n")
		return nil
	}
}

func (ch *autopilotChange) apply(a *autopilotConfig) {
	a.CleanupDeadServers = ch.cleanup.or(a.CleanupDeadServers)
	a.DisableUpgradeMigration = ch.noMigration.or(a.DisableUpgradeMigration)
	a.LastContactThreshold = catalog.Duration(ch.contact.or(time.Duration(a.LastContactThreshold)))
	a.ServerStabilizationTime = catalog.Duration(ch.stabilization.or(time.Duration(a.ServerStabilizationTime)))
	a.MaxTrailingLogs = ch.trailing.or(a.MaxTrailingLogs)
	a.MinQuorum = ch.quorum.or(a.MinQuorum)
	a.RedundancyZoneTag = ch.zone.or(a.RedundancyZoneTag)
	a.UpgradeVersionTag = ch.version.or(a.UpgradeVersionTag)
}

// swapAutopilot writes the configuration if it has not changed since it was read, and tells whether it did.
func swapAutopilot(ctx context.Context, cl *client.Client, a autopilotConfig) (done bool, err error) {
	body, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	r := client.Request{Method: http.MethodPut, Path: autopilotPath, Body: strings.NewReader(string(body)),
		Query: url.Values{"cas": {strconv.FormatUint(a.ModifyIndex, 10)}}}
	err = cl.Call(ctx, r, &done)
	return done, err
}

// An autopilotState is /v1/operator/autopilot/state.
type autopilotState struct {
	Healthy                    bool
	FailureTolerance           int
	OptimisticFailureTolerance int
	Servers                    map[string]autopilotServer
	Leader                     string
	Voters                     []string
	ReadReplicas               []string `json:",omitempty"`
}

// An autopilotServer is how autopilot sees a server.
type autopilotServer struct {
	ID, Name, Address   string
	NodeStatus          string
	Version             string
	LastContact         string
	LastTerm, LastIndex uint64
	Healthy             bool
	StableSince         time.Time
	ReadReplica         bool
	Status              string
	Meta                map[string]string
	NodeType            string
	RedundancyZone      string `json:",omitempty"`
	UpgradeVersion      string `json:",omitempty"`
}

func newAutopilotState(fs *flag.FlagSet, c *console) runFunc {
	r := c.reportFlags(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := r.open(args)
		if err != nil {
			return err
		}
		var s autopilotState
		if err := cl.Get(ctx, "/v1/operator/autopilot/state", nil, &s); err != nil {
			return failf("Error querying Autopilot state: %w", err)
		}
		return r.print(s, func() { s.print(c) })
	}
}

func (s autopilotState) print(c *console) {
	c.columns([][]string{
		{"Healthy:", strconv.FormatBool(s.Healthy)},
		{"Failure Tolerance:", strconv.Itoa(s.FailureTolerance)},
		{"Optimistic Failure Tolerance:", strconv.Itoa(s.OptimisticFailureTolerance)},
		{"Leader:", s.Leader},
	})
	c.printIDs("Voters", s.Voters)
	c.printIDs("Read Replicas", s.ReadReplicas)
	c.printf("Servers:\n")
	for _, id := range slices.Sorted(maps.Keys(s.Servers)) {
		s.Servers[id].print(c)
	}
}

func (c *console) printIDs(title string, ids []string) {
	if len(ids) > 0 {
		c.printf("%s:\n   %s\n", title, strings.Join(ids, "\n   "))
	}
}

func (s autopilotServer) print(c *console) {
	c.printf("   %s\n", s.ID)
	rows := [][]string{
		{"Name:", s.Name}, {"Address:", s.Address}, {"Version:", s.Version}, {"Status:", s.Status}, {"Node Type:", s.NodeType},
		{"Node Status:", s.NodeStatus}, {"Healthy:", strconv.FormatBool(s.Healthy)}, {"Last Contact:", s.LastContact},
		{"Last Term:", fmt.Sprint(s.LastTerm)}, {"Last Index:", fmt.Sprint(s.LastIndex)},
	}
	if s.RedundancyZone != "" {
		rows = append(rows, []string{"Redundancy Zone:", s.RedundancyZone})
	}
	if s.UpgradeVersion != "" {
		rows = append(rows, []string{"Upgrade Version:", s.UpgradeVersion})
	}
	writeColumns(c.out, rows, "      ")
	if len(s.Meta) > 0 {
		c.printf("      Meta\n")
		for _, k := range slices.Sorted(maps.Keys(s.Meta)) {
			c.printf("         %q: %q\n", k, s.Meta[k])
		}
	}
}
