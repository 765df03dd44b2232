package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lictor/agent/audit"
	"lictor/agent/logging"
	"lictor/atrest"
	"lictor/raftstore"
)

// confirmation is what has to be typed before a cluster is recovered.
const confirmation = "recover"

func newRaftRecover(fs *flag.FlagSet, c *console) runFunc {
	dir := fs.String("data-dir", "", "The data `directory` of the stopped server.")
	keyFile := fs.String("key-file", "", "The `file` of keys, if the server has encryption_at_rest.key_file set.")
	yes := fs.Bool("yes", false, "Do not ask before changing anything.")
	var servers serverList
	fs.Var(&servers, "server", "A `server` of the recovered cluster, as its id, an equals sign and its address with the port; with ,non-voter behind it "+
		"it has no vote. May be repeated. Default: raft/peers.json in the data directory.")
	return func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *dir == "" {
			return usagef("Error recovering: -data-dir must be given")
		}
		id, err := os.ReadFile(filepath.Join(*dir, "node-id"))
		if err != nil {
			return failf("Error recovering: no server has run with this data directory: %w", err)
		}
		if _, err := os.Stat(filepath.Join(*dir, "raft", "peers.json")); err != nil && len(servers) == 0 {
			return failf("Error recovering: name the servers of the recovered cluster with -server, or in raft/peers.json below the data directory")
		}
		ring := new(atrest.Ring)
		if *keyFile != "" {
			keys, err := atrest.Load(*keyFile, false)
			if err != nil {
				return failf("Error recovering: -key-file: %w", err)
			}
			ring.Use(keys)
		}
		log := slog.New(slog.DiscardHandler)
		plan, err := raftstore.PlanRecovery(raftstore.Config{ID: strings.TrimSpace(string(id)), Dir: filepath.Join(*dir, "raft"),
			Log: log, RaftLog: logging.Hclog(log, "raft"), AtRest: ring}, servers)
		if err != nil {
			return failf("Error recovering: %w", err)
		}
		defer plan.Close()
		c.describeRecovery(plan)
		if !*yes && !c.confirm() {
			return failf("Nothing was changed.")
		}
		err = plan.Carry()
		noted := noteRecovery(*dir, plan, err)
		if err != nil {
			return failf("Error recovering: %w", err)
		}
		if noted != nil {
			c.printf("The audit log will not tell of this: %s\n", noted)
		}
		c.printf("Recovered. Do the same with the same list on each of the other servers, then start them.\n")
		return nil
	}
}

// noteRecovery leaves a record for the audit log of the agent that starts next.
func noteRecovery(dir string, plan *raftstore.Recovery, err error) error {
	var servers []string
	for _, s := range plan.Next {
		servers = append(servers, s.ID+"="+s.Address)
	}
	r := audit.Response{Status: "done"}
	if err != nil {
		r = audit.Response{Status: "failed", Error: err.Error()}
	}
	return audit.Leave(dir, "", audit.Request{Operation: "operator raft recover", Endpoint: dir, Query: map[string][]string{"server": servers}}, r)
}

// describeRecovery prints what there is and what it would become.
func (c *console) describeRecovery(r *raftstore.Recovery) {
	c.printf("The log ends at index %d, term %d. Compare this with the other servers: the one with the highest term, and of those the highest\n"+
		"index, has the most.\n\nThe servers now:\n", r.LastIndex, r.LastTerm)
	c.columns(recoveryTable(r.Now))
	from := "as given on the command line"
	if r.Given {
		from = "as peers.json has it"
	}
	c.printf("\nThe servers after it, %s:\n", from)
	c.columns(recoveryTable(r.Next))
	c.printf("\nAll that is in this log counts as committed then. Writes that only servers have which do not come back are lost.\n")
}

func recoveryTable(servers []raftstore.Server) [][]string {
	table := [][]string{{"ID", "Address", "Voter"}}
	for _, s := range servers {
		table = append(table, []string{s.ID, s.Address, strconv.FormatBool(s.Voter)})
	}
	return table
}

// confirm asks on the terminal.
func (c *console) confirm() bool {
	c.printf("\nType %q to go on: ", confirmation)
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	return strings.TrimSpace(line) == confirmation
}

// A serverList is a flag that may be repeated.
type serverList []raftstore.Server

// String implements flag.Value.
func (l *serverList) String() string { return "" }

// Set implements flag.Value.
func (l *serverList) Set(text string) error {
	id, address, ok := strings.Cut(text, "=")
	address, suffix, more := strings.Cut(address, ",")
	if !ok || id == "" || address == "" || more && suffix != "non-voter" {
		return fmt.Errorf("must be ID=ADDRESS:PORT or ID=ADDRESS:PORT,non-voter")
	}
	*l = append(*l, raftstore.Server{ID: id, Address: address, Voter: !more})
	return nil
}
