package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lictor/cmd/lictor/client"
)

// oneFile is the only argument of the commands of this group.
func oneFile(args []string) (string, error) {
	switch len(args) {
	case 0:
		return "", usagef("Missing FILE argument")
	case 1:
		return args[0], nil
	}
	return "", usagef("Too many arguments (expected 1, got %d)", len(args))
}

// newSnapshotAgent refuses to run what the servers do themselves.
func newSnapshotAgent(fs *flag.FlagSet, _ *console) runFunc {
	var files list
	fs.Var(&files, "config-file", "Not read: put the section snapshot_agent of this `file` into the configuration of all servers.")
	fs.Var(&files, "config-dir", "Not read, like -config-file.")
	return func(context.Context, []string) error {
		return failf("Error! Backups need no process of their own: put the section snapshot_agent into the configuration of all servers and reload them. " +
			"The server that leads makes the archives, and the check of the service consul-snapshot tells how that goes.")
	}
}

func newSnapshotSave(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var parts list
	fs.Var(&parts, "append-filename", "Add these `parts` to the name of the file: version, dc, node or status, separated by commas.")
	return func(ctx context.Context, args []string) error {
		name, err := oneFile(args)
		if err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if len(parts) > 0 {
			if name, err = extendName(ctx, cl, name, strings.Split(parts.String(), ",")); err != nil {
				return err
			}
		}
		res, err := cl.Do(ctx, client.Request{Method: http.MethodGet, Path: "/v1/snapshot"})
		if err != nil {
			return failf("Error saving snapshot: %w", err)
		}
		defer res.Body.Close()
		index, err := saveVerified(name, res.Body)
		if err != nil {
			return err
		}
		c.printf("Saved and verified snapshot to index %d\n", index)
		return nil
	}
}

// extendName puts facts about the agent before the end of a file's name.
func extendName(ctx context.Context, cl *client.Client, name string, parts []string) (string, error) {
	var self struct {
		Config struct{ NodeName, Datacenter, Version string }
		Stats  map[string]map[string]string
	}
	if err := cl.Get(ctx, "/v1/agent/self", nil, &self); err != nil {
		return "", failf("Error querying agent: %w", err)
	}
	role := "follower"
	if self.Stats["consul"]["leader"] == "true" {
		role = "leader"
	}
	facts := map[string]string{"version": self.Config.Version, "dc": self.Config.Datacenter, "status": role,
		"node": self.Config.NodeName, "node_name": self.Config.NodeName}
	end := filepath.Ext(name)
	stem := strings.TrimSuffix(name, end)
	for _, part := range parts {
		fact, ok := facts[part]
		if !ok {
			return "", usagef("-append-filename has %q: allowed are version, dc, node and status", part)
		}
		stem += "-" + fact
	}
	return stem + end, nil
}

// saveVerified writes a snapshot under another name, checks it, and only then gives it its own. It returns the index
// that the snapshot is of.
func saveVerified(name string, from io.Reader) (index uint64, err error) {
	temporary := fmt.Sprintf("%s.unverified.tmp%d", name, time.Now().UnixNano())
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return 0, failf("Error writing unverified snapshot file: %w", err)
	}
	defer os.Remove(temporary)
	_, err = io.Copy(file, from)
	if err = errors.Join(err, file.Sync()); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, failf("Error writing unverified snapshot file: %w", errors.Join(err, file.Close()))
	}
	meta, err := readArchive(file, func(io.Reader) error { return nil })
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, failf("Error verifying snapshot file: %w", err)
	}
	if err := os.Rename(temporary, name); err != nil {
		return 0, failf("Error renaming snapshot file: %w", err)
	}
	return meta.Index, nil
}

func newSnapshotRestore(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		name, err := oneFile(args)
		if err != nil {
			return err
		}
		file, err := os.Open(name)
		if err != nil {
			return failf("Error opening snapshot file: %w", err)
		}
		defer file.Close()
		cl, err := cn.client()
		if err != nil {
			return err
		}
		res, err := cl.Do(ctx, client.Request{Method: http.MethodPut, Path: "/v1/snapshot", Body: file})
		if err != nil {
			return failf("Error restoring snapshot: %w", err)
		}
		defer res.Body.Close()
		c.printf("Restored snapshot\n")
		return c.printImport(res.Body)
	}
}

// printImport tells what was taken over from an archive that Consul has saved. For one of ours there is nothing to tell.
func (c *console) printImport(answer io.Reader) error {
	var done struct{ TakenOver, NotSupported map[string]int }
	err := json.NewDecoder(io.LimitReader(answer, archiveLimit)).Decode(&done)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return failf("Error reading what was restored: %w", err)
	}
	c.printf("The archive is one that Consul has saved. Rows taken over:\n")
	for _, kind := range slices.Sorted(maps.Keys(done.TakenOver)) {
		c.printf("  %s: %d\n", kind, done.TakenOver[kind])
	}
	if len(done.NotSupported) > 0 {
		c.printf("Not taken over, as this version has no place for them:\n")
	}
	for _, kind := range slices.Sorted(maps.Keys(done.NotSupported)) {
		c.printf("  %s: %d\n", kind, done.NotSupported[kind])
	}
	return nil
}

func newSnapshotDecode(_ *flag.FlagSet, c *console) runFunc {
	return func(_ context.Context, args []string) error {
		name, err := oneFile(args)
		if err != nil {
			return err
		}
		from := c.in
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return failf("Error opening snapshot file: %w", err)
			}
			defer file.Close()
			from = file
		}
		out := bufio.NewWriter(c.out)
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		_, err = readArchive(from, func(state io.Reader) error {
			return readRows(state, func(r row) error {
				value, err := r.value()
				if err != nil {
					return err
				}
				return lines.Encode(struct{ Type, Data any }{r.kind, value})
			})
		})
		if err = errors.Join(err, out.Flush()); err != nil {
			return failf("Error reading snapshot: %w", err)
		}
		return nil
	}
}
