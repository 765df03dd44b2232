package main

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lictor/agent/logging"
	"lictor/kv"
	"lictor/raftstore"
	"lictor/rpc"
)

const recoveredID = "adf4238a-882b-9ddc-4a9d-5b6758e4159e"

// openRecovered opens the log of a server of one in a data directory.
func openRecovered(t *testing.T, dir string) *raftstore.Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	mux := rpc.NewMux(l, recoveredID, log, rpc.Limits{})
	ready := make(chan struct{})
	n, err := raftstore.Open(raftstore.Config{ID: recoveredID, Dir: filepath.Join(dir, "raft"), Bootstrap: true, SegmentSize: 1 << 20,
		Listener: mux.Protocol(rpc.ProtocolRaft), Advertise: l.Addr(), Log: log, RaftLog: logging.Hclog(log, "raft"),
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
		Lead: func(_ context.Context, lead func()) { lead(); close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	mux.Serve()
	t.Cleanup(func() { mux.Close() })
	<-ready
	return n
}

func TestRecoverAsksFirst(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node-id"), []byte(recoveredID), 0o600); err != nil {
		t.Fatal(err)
	}
	n := openRecovered(t, dir)
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "keep", Value: []byte("me")}); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	run := func(input string, args ...string) (string, error) {
		var out bytes.Buffer
		c := &console{in: strings.NewReader(input), out: &out, err: &out, getenv: func(string) string { return "" }}
		fs := flag.NewFlagSet("recover", flag.ContinueOnError)
		do := newRaftRecover(fs, c)
		if err := fs.Parse(append([]string{"-data-dir", dir}, args...)); err != nil {
			t.Fatal(err)
		}
		err := do(t.Context(), fs.Args())
		return out.String(), err
	}
	if _, err := run(""); err == nil || !strings.Contains(err.Error(), "-server") {
		t.Errorf("without servers: %v", err)
	}
	server := "-server=" + recoveredID + "=10.0.0.9:8300"
	text, err := run("no\n", server)
	if err == nil || !strings.Contains(err.Error(), "Nothing was changed") || !strings.Contains(text, "10.0.0.9:8300") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err = run("recover\n", server); err != nil || !strings.Contains(text, "Recovered.") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err = run("no\n", server); !strings.Contains(text[:strings.Index(text, "after it")], "10.0.0.9:8300") {
		t.Errorf("the servers are not those that were asked for: %v\n%s", err, text)
	}
	n = openRecovered(t, dir)
	defer n.Stop()
	if entry := kv.Entries.Get(n.DB().Read(), "keep"); entry == nil || string(entry.Value) != "me" {
		t.Errorf("the recovered log holds %v", entry)
	}
}

func TestServerList(t *testing.T) {
	var l serverList
	for text, good := range map[string]bool{"a=10.0.0.1:8300": true, "b=10.0.0.2:8300,non-voter": true, "a": false, "=x:1": false, "a=": false, "a=x:1,voter": false} {
		if err := l.Set(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if len(l) != 2 {
		t.Errorf("%v", l)
	}
}
