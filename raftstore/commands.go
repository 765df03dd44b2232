package raftstore

import (
	"fmt"
	"reflect"

	"lictor/acl"
	"lictor/backup"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/kvreplication"
	"lictor/query"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
)

// A command is one kind of entry in the replicated log.
type command struct {
	id   byte
	name string // of its metric, consul.fsm.NAME
	new  func() state.Command
}

// commands is THE list of replicated commands. Ids are part of the log's format: they are never changed or reused.
var commands = []command{
	{1, "kvs", func() state.Command { return new(kv.Put) }},
	{2, "kvs", func() state.Command { return new(kv.Delete) }},
	{3, "tombstone", func() state.Command { return new(kv.ReapTombstones) }},
	{4, "register", func() state.Command { return new(catalog.Register) }},
	{5, "deregister", func() state.Command { return new(catalog.Deregister) }},
	{6, "coordinate.batch-update", func() state.Command { return new(coordinate.BatchUpdate) }},
	{7, "session", func() state.Command { return new(session.Create) }},
	{8, "session", func() state.Command { return new(session.Destroy) }},
	{9, "kvs", func() state.Command { return new(session.Lock) }},
	{10, "txn", func() state.Command { return new(txn.Apply) }},
	{12, "autopilot", func() state.Command { return new(SetAutopilot) }},
	{13, "cluster", func() state.Command { return new(NameCluster) }},
	{14, "begin", func() state.Command { return new(Begin) }},
	{15, "prepared-query", func() state.Command { return new(query.Set) }},
	{16, "prepared-query", func() state.Command { return new(query.Delete) }},
	{18, "config_entry.apply", func() state.Command { return new(configentry.Put) }},
	{19, "config_entry.delete", func() state.Command { return new(configentry.Delete) }},
	{60, "intention", func() state.Command { return new(configentry.ChangeIntention) }},
	{20, "ca", func() state.Command { return new(ca.Initialize) }},
	{61, "ca", func() state.Command { return new(ca.Reconfigure) }},
	{30, "acl.bootstrap", func() state.Command { return new(acl.Begin) }},
	{31, "acl.policy", func() state.Command { return new(acl.SetPolicy) }},
	{32, "acl.policy", func() state.Command { return new(acl.DeletePolicy) }},
	{33, "acl.role", func() state.Command { return new(acl.SetRole) }},
	{34, "acl.role", func() state.Command { return new(acl.DeleteRole) }},
	{35, "acl.token", func() state.Command { return new(acl.SetToken) }},
	{36, "acl.token", func() state.Command { return new(acl.DeleteTokens) }},
	{37, "acl.authmethod", func() state.Command { return new(acl.SetAuthMethod) }},
	{38, "acl.authmethod", func() state.Command { return new(acl.DeleteAuthMethod) }},
	{39, "acl.bindingrule", func() state.Command { return new(acl.SetBindingRule) }},
	{40, "acl.bindingrule", func() state.Command { return new(acl.DeleteBindingRule) }},
	{41, "acl.policy", func() state.Command { return new(acl.CopyPolicies) }},
	{42, "acl.role", func() state.Command { return new(acl.CopyRoles) }},
	{43, "acl.token", func() state.Command { return new(acl.CopyTokens) }},
	{44, "acl.authmethod", func() state.Command { return new(acl.DeleteLocalMethod) }},
	{45, "config_entry.copy", func() state.Command { return new(configentry.Copy) }},
	{21, "kvs", func() state.Command { return new(kv.Expire) }},
	{22, "backup", func() state.Command { return new(backup.Note) }},
	{26, "kv-replication", func() state.Command { return new(kvreplication.Configure) }},
	{27, "kvs", func() state.Command { return new(kvreplication.Batch) }},
}

// A codec turns commands into log entries and back: one byte of id, then the command in MessagePack.
type codec struct {
	byID   [256]*command
	byType map[reflect.Type]byte
}

func newCodec() *codec {
	c := &codec{byType: map[reflect.Type]byte{}}
	for i, cmd := range commands {
		c.byID[cmd.id] = &commands[i]
		c.byType[reflect.TypeOf(cmd.new())] = cmd.id
	}
	return c
}

func (c *codec) encode(cmd state.Command) ([]byte, error) {
	id, ok := c.byType[reflect.TypeOf(cmd)]
	if !ok {
		return nil, fmt.Errorf("%T is not in the list of commands", cmd)
	}
	size := 256
	if s, ok := cmd.(interface{ Msgsize() int }); ok {
		size = 1 + s.Msgsize()
	}
	return cmd.MarshalMsg(append(make([]byte, 0, size), id))
}

func (c *codec) decode(entry []byte) (*command, state.Command, error) {
	if len(entry) == 0 || c.byID[entry[0]] == nil {
		return nil, nil, fmt.Errorf("unknown command in the log: %.1x; a newer server wrote it", entry)
	}
	kind := c.byID[entry[0]]
	cmd := kind.new()
	if _, err := cmd.UnmarshalMsg(entry[1:]); err != nil {
		return nil, nil, fmt.Errorf("decode %s from the log: %w", kind.name, err)
	}
	return kind, cmd, nil
}
