package raftstore

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"lictor/kv"
	"lictor/rpc"
)

// A process is a server in a process of its own, which is told what to do in lines and answers each with one.
type process struct {
	id, dir, address string
	cmd              *exec.Cmd
	in               io.WriteCloser
	out              *bufio.Scanner
}

// TestServerProcess is what runs in such a process: "ID DIR ADDRESS" in the environment.
func TestServerProcess(t *testing.T) {
	var id, dir, address string
	if _, err := fmt.Sscan(os.Getenv("RAFTSTORE_PROCESS"), &id, &dir, &address); err != nil {
		t.Skip("not a process of another test")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	mux := rpc.NewMux(l, id, slog.New(slog.DiscardHandler), rpc.Limits{})
	n, err := Open(Config{ID: id, Dir: dir, Listener: mux.Protocol(rpc.ProtocolRaft), Advertise: l.Addr(), Dial: dialTCP, SegmentSize: 1 << 20,
		Log: slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	mux.Serve()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		answer := "ok"
		switch words[0] {
		case "bootstrap":
			var servers []Server
			for i := 1; i < len(words); i += 2 {
				servers = append(servers, Server{ID: words[i], Address: words[i+1]})
			}
			err = n.Bootstrap(servers)
		case "put":
			_, err = n.Apply(context.Background(), &kv.Put{Key: words[1], Value: []byte(words[2])})
		case "get":
			answer, err = value(n, words[1]), nil
		case "state":
			answer, err = fmt.Sprint(n.Leads(), n.raft.CurrentTerm()), nil
		}
		if err != nil {
			answer = err.Error()
		}
		fmt.Println("answer:", answer)
	}
	os.Exit(0)
}

func (p *process) start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestServerProcess$")
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("RAFTSTORE_PROCESS=%s %s %s", p.id, p.dir, p.address))
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (p *process) ask(line string) string {
	fmt.Fprintln(p.in, line)
	for p.out.Scan() {
		if answer, ok := strings.CutPrefix(p.out.Text(), "answer: "); ok {
			return answer
		}
	}
	return "no answer"
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// processes starts servers that make a cluster.
func processes(t testing.TB, ids ...string) []*process {
	t.Helper()
	var all []*process
	line := "bootstrap"
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := &process{id: id, dir: t.TempDir(), address: l.Addr().String()}
		l.Close()
		p.start(t)
		t.Cleanup(p.kill)
		all = append(all, p)
		line += " " + p.id + " " + p.address
	}
	for _, p := range all {
		if answer := p.ask(line); answer != "ok" {
			t.Fatal(answer)
		}
	}
	return all
}

// writtenBy writes through whichever server takes it, and returns that one.
func writtenBy(t testing.TB, all []*process, key, value string) *process {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(time.Millisecond) {
		for _, p := range all {
			if p.ask("put "+key+" "+value) == "ok" {
				return p
			}
		}
	}
	t.Fatal("nobody takes a write")
	return nil
}

// A killed leader is followed in a moment, and nothing is lost: with real processes, sockets and disks.
func TestKilledLeader(t *testing.T) {
	all := processes(t, "a", "b", "c")
	writtenBy(t, all, "start", "1")
	var times []time.Duration
	for i := range 7 {
		leader := writtenBy(t, all, fmt.Sprint("key", i), "before")
		rest := slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == leader })
		leader.kill()
		begin := time.Now()
		next := writtenBy(t, rest, fmt.Sprint("key", i), "after")
		times = append(times, time.Since(begin))
		if got := next.ask("get start"); got != "1" {
			t.Errorf("what was acknowledged is %s", got)
		}
		leader.start(t)
		for begin := time.Now(); leader.ask(fmt.Sprint("get key", i)) != "after"; time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatal("a server that has come back gets nothing")
			}
		}
	}
	slices.Sort(times)
	t.Log(times)
	if median := times[len(times)/2]; median > 700*time.Millisecond {
		t.Errorf("a killed leader is followed after %s in the median", median)
	}
}

var busy = flag.Duration("busy", 0, "for how long TestBusyCores runs; 0 skips it")

// With every core busy no leader changes.
func TestBusyCores(t *testing.T) {
	if *busy == 0 {
		t.Skip("takes long: -busy says how long")
	}
	all := processes(t, "a", "b", "c")
	leader := writtenBy(t, all, "key", "1")
	time.Sleep(time.Second)
	before := leader.ask("state")
	stop := make(chan struct{})
	defer close(stop)
	for range 4 * runtime.NumCPU() {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	slowest := time.Duration(0)
	for begin := time.Now(); time.Since(begin) < *busy; time.Sleep(10 * time.Millisecond) {
		now := time.Now()
		if answer := leader.ask("put key 2"); answer != "ok" {
			t.Fatalf("after %s: %s", time.Since(begin), answer)
		}
		slowest = max(slowest, time.Since(now))
	}
	if after := leader.ask("state"); after != before {
		t.Errorf("the leader and its term were %s, and are %s", before, after)
	}
	t.Log("the slowest write took", slowest)
}
