package raftstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"lictor/durable"
	"lictor/state"
)

// A cluster that has lost its quorum for good is recovered by hand: all servers that are left are stopped, a file that
// lists them is put into each one's Raft directory, and they are started again. Each makes a snapshot of all that it has,
// committed or not, with that list as its configuration, and moves the file out of the way.
const (
	peersFile = "peers.json"
	usedPeers = "peers.json.used" // what it is called afterwards
	maxPeers  = 1 << 20           // bytes of the file
)

// A peerEntry is one server in peers.json, as Consul documents it.
type peerEntry struct {
	ID       string `json:"id"`
	Address  string `json:"address"` // IP:port of Raft
	NonVoter bool   `json:"non_voter"`
}

// readPeers reads peers.json. A file that is not there is no error.
func readPeers(path string) (servers []Server, found bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxPeers+1))
	if err == nil {
		servers, err = parsePeers(content)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return servers, true, nil
}

// parsePeers reads the content of peers.json.
func parsePeers(content []byte) ([]Server, error) {
	if len(content) > maxPeers {
		return nil, fmt.Errorf("has more than %d bytes", maxPeers)
	}
	in := json.NewDecoder(bytes.NewReader(content))
	in.DisallowUnknownFields()
	var entries []peerEntry
	if err := in.Decode(&entries); err != nil {
		return nil, fmt.Errorf(`is not a list such as [{"id": "<node id>", "address": "10.0.0.1:8300", "non_voter": false}]: %w`, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something behind the list")
	}
	var servers []Server
	for _, e := range entries {
		servers = append(servers, Server{ID: e.ID, Address: e.Address, Voter: !e.NonVoter})
	}
	return servers, checkServers(servers)
}

// checkServers tells what is wrong with a list of servers.
func checkServers(servers []Server) error {
	voters, ids, addresses := 0, map[string]bool{}, map[string]bool{}
	for i, s := range servers {
		switch _, err := netip.ParseAddrPort(s.Address); {
		case strings.TrimSpace(s.ID) == "":
			return fmt.Errorf("server %d has no id", i+1)
		case err != nil:
			return fmt.Errorf("server %s: %q is no address such as 10.0.0.1:8300", s.ID, s.Address)
		case ids[s.ID]:
			return fmt.Errorf("server %s is there twice", s.ID)
		case addresses[s.Address]:
			return fmt.Errorf("two servers have the address %s", s.Address)
		}
		ids[s.ID], addresses[s.Address] = true, true
		if s.Voter {
			voters++
		}
	}
	if voters == 0 {
		return errors.New("no server in it has a vote")
	}
	return nil
}

// A Recovery is what recovering a stopped server would do. The caller closes it.
type Recovery struct {
	LastIndex     uint64 // of the log, or of the newest snapshot if that is later
	LastTerm      uint64
	SnapshotIndex uint64   // of the newest snapshot; 0 if there is none
	Index         uint64   // of the present configuration; 0 if there is none
	Now           []Server // the present configuration
	Next          []Server // what it would become
	Given         bool     // Next is from peers.json, rather than from the caller

	config Config
	store  *storage
}

// PlanRecovery looks at the log of a stopped server, which has to have one, and at what peers.json, or if there is none
// the caller, makes of the configuration. Of the Config it takes ID, Dir, Log and RaftLog. It changes nothing but what
// a crash has left half-done.
func PlanRecovery(c Config, otherwise []Server) (*Recovery, error) {
	if _, err := os.Stat(filepath.Join(c.Dir, "raft.db")); err != nil {
		return nil, fmt.Errorf("no server has had its log in %s: %w", c.Dir, err)
	}
	next, given, err := readPeers(filepath.Join(c.Dir, peersFile))
	if err != nil {
		return nil, err
	}
	if !given {
		next = otherwise
		if err := checkServers(next); err != nil {
			return nil, fmt.Errorf("there is no %s in %s, and the list of servers in its place will not do: %w", peersFile, c.Dir, err)
		}
	}
	c.asFound = true
	r := &Recovery{Next: next, Given: given, config: c}
	if r.store, err = openStorage(&r.config); err != nil {
		return nil, err
	}
	if err := r.look(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// look finds out what there is.
func (r *Recovery) look() error {
	have, err := r.store.snapshots.List()
	if err != nil {
		return fmt.Errorf("list the snapshots: %w", err)
	}
	var first uint64 = 1
	if len(have) > 0 {
		r.SnapshotIndex, r.LastIndex, r.LastTerm = have[0].Index, have[0].Index, have[0].Term
		r.store.witness.replace(have[0].ConfigurationIndex, have[0].Configuration)
		first = have[0].Index + 1
	}
	last, err := r.store.logs.LastIndex()
	if err != nil {
		return fmt.Errorf("look at the log: %w", err)
	}
	for i := first; i <= last; i++ {
		var entry raft.Log
		if err := r.store.logs.GetLog(i, &entry); err != nil {
			return fmt.Errorf("read entry %d of the log: %w", i, err)
		}
		r.LastIndex, r.LastTerm = entry.Index, entry.Term
	}
	members := r.store.witness.newest.Load()
	r.Index = members.index
	for _, s := range members.servers {
		r.Now = append(r.Now, Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return nil
}

// Carry carries the recovery out, and moves peers.json out of the way if there is one. All entries of the log count as
// committed then.
func (r *Recovery) Carry() error { return recoverFrom(r.store, &r.config, r.Next) }

// Close ends the use of the server's files.
func (r *Recovery) Close() error { return r.store.close() }

// recoverByPeers carries out what peers.json asks for, when a server starts.
func recoverByPeers(store *storage, c *Config) error {
	if c.Dir == "" {
		return nil
	}
	servers, found, err := readPeers(filepath.Join(c.Dir, peersFile))
	if err != nil || !found {
		return err
	}
	return recoverFrom(store, c, servers)
}

// recoverFrom makes these servers the configuration of what a stopped server has.
func recoverFrom(store *storage, c *Config, servers []Server) error {
	conf := raft.DefaultConfig()
	conf.LocalID, conf.Logger = raft.ServerID(c.ID), c.RaftLog
	var next raft.Configuration
	self := false
	for _, s := range servers {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		next.Servers = append(next.Servers, raft.Server{Suffrage: suffrage, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
		self = self || s.ID == c.ID
	}
	if !self {
		c.Log.Warn("this server is not among those that the cluster is recovered with, and will not take part", "id", c.ID)
	}
	db, err := state.Open(Tables()...)
	if err != nil {
		return err
	}
	machine := &fsm{db: db, codec: newCodec(), log: c.Log, times: newDurations(nil)}
	_, nowhere := raft.NewInmemTransport("nowhere")
	defer nowhere.Close()
	if err := raft.RecoverCluster(conf, machine, store.logs, store.stable, store.snapshots, nowhere, next); err != nil {
		return fmt.Errorf("recover the cluster in %s: %w", c.Dir, err)
	}
	c.Log.Warn("the cluster was recovered: all that was in this server's log counts as committed now", "servers", next.Servers)
	path := filepath.Join(c.Dir, peersFile)
	err = os.Rename(path, filepath.Join(c.Dir, usedPeers))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the cluster was recovered, but will be once more at the next start: %w", err)
	}
	return durable.SyncDir(c.Dir)
}
