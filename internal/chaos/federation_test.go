//go:build chaos

package chaos

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A federation is some datacenters, each a server and a client agent, whose servers meet over a wan.
type federation struct {
	*cluster // all agents
	*wan
	sites []site
	begun time.Time // when the last agent was started
}

// A site is a datacenter.
type site struct {
	name           string
	server, client *agent
}

// federate starts so many datacenters, which are joined by equal links, and waits until each agent takes writes for its own.
func federate(t *testing.T, number int, l link) *federation { return federateWith(t, number, l, nil) }

// federateWith does that with more configuration for each agent.
func federateWith(t *testing.T, number int, l link, more map[string]any) *federation {
	t.Helper()
	if _, err := os.Stat(lictor()); err != nil {
		t.Fatalf("build it first: %v", err)
	}
	n, dir := newNetwork(t), workDir(t, "federation")
	f := &federation{cluster: &cluster{network: n, dir: dir, http: n.http(30 * time.Second)}}
	var hosts [][]*host
	for i := range number {
		hosts = append(hosts, []*host{n.addHost(t, fmt.Sprintf("s%d", i+1)), n.addHost(t, fmt.Sprintf("c%d", i+1))})
	}
	f.wan = newWAN(t, hosts...)
	var hubs []string
	for i, h := range hosts {
		for j := range i {
			f.join(i+1, j+1, l)
		}
		s := site{name: fmt.Sprintf("dc%d", i+1)}
		ports := func(wan int) map[string]any {
			return map[string]any{"dns": 8600, "serf_wan": wan, "grpc": -1, "grpc_tls": -1}
		}
		server := map[string]any{"datacenter": s.name, "server": true, "bootstrap": true, "retry_join_wan": hubs,
			"retry_interval_wan": "500ms", "ports": ports(8302)}
		client := map[string]any{"datacenter": s.name, "retry_join": []string{h[0].address}, "ports": ports(-1)}
		maps.Copy(server, more)
		maps.Copy(client, more)
		s.server, s.client = newAgent(t, h[0], dir, server), newAgent(t, h[1], dir, client)
		hubs = append(hubs, h[0].address)
		f.sites, f.servers = append(f.sites, s), append(f.servers, s.server, s.client)
	}
	f.cluster.client, f.servers = f.servers[len(f.servers)-1], f.servers[:len(f.servers)-1]
	for _, a := range f.all() {
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
	}
	f.begun = time.Now()
	if err := f.ready(60 * time.Second); err != nil {
		t.Fatal(err)
	}
	return f
}

// The wan pool converges, and requests are brought to other datacenters, over links that are slow and lose packets; datacenters are
// lost, hang and come back, and links are cut and mended, while what needs none of that goes on.
func TestFederation(t *testing.T) {
	for number := 2; number <= 3; number++ {
		t.Run(fmt.Sprintf("%d datacenters", number), func(t *testing.T) {
			f := federate(t, number, link{delay: 40 * time.Millisecond, loss: 0.02})
			f.converge(t)
			f.latency(t)
			f.failover(t)
			f.linkCut(t)
			f.hang(t)
			if number > 2 {
				f.archives(t)
			}
			for _, text := range append(f.ended(), f.suspicious()...) {
				t.Error(text)
			}
		})
	}
}

// converge waits until each server knows all others and each agent reaches all datacenters.
func (f *federation) converge(t *testing.T) {
	t.Helper()
	f.await(t, "the servers know each other", time.Minute, func() error {
		for _, s := range f.sites {
			var members []struct{ Status int }
			if err := f.get(s.server, "/v1/agent/members?wan=1", &members); err != nil {
				return err
			}
			members = slices.DeleteFunc(members, func(m struct{ Status int }) bool { return m.Status != 1 })
			if len(members) != len(f.sites) {
				return fmt.Errorf("%s knows %d", s.server.name, len(members))
			}
		}
		return nil
	})
	t.Logf("%d datacenters: each server knows all others %s after the last start", len(f.sites), time.Since(f.begun).Round(time.Millisecond))
	f.await(t, "each agent reaches each datacenter", time.Minute, func() error {
		for _, a := range f.all() {
			for _, s := range f.sites {
				if err := f.get(a, "/v1/status/leader?dc="+s.name, new(string)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	t.Logf("each agent reaches each datacenter %s after it", time.Since(f.begun).Round(time.Millisecond))
}

// quiet is the part of the requests that is compared: what is slower may be so because this machine was busy, or a packet was lost.
const quiet = 0.1

// latency compares forwarded requests with the round-trip time of the link.
func (f *federation) latency(t *testing.T) {
	t.Helper()
	f.put(t, f.sites[0].server, "near")
	for _, s := range f.sites[1:] {
		f.put(t, s.server, "far")
	}
	link := f.roundTrips(t, f.sites[0].server.host, f.sites[1].server.host, 100)
	t.Logf("%-34s %s", "round trip of the link", percentiles(link))
	for _, a := range []*agent{f.sites[0].server, f.sites[0].client} {
		all := f.times(t, a, "/v1/kv/far?dc=dc2", 100)
		t.Logf("%-34s %s", "read of another datacenter at "+a.name, percentiles(all))
		if over := quantile(all, quiet) - quantile(link, quiet); over > 5*time.Millisecond {
			t.Errorf("a forwarded read at %s costs %s more than the round trip", a.name, over)
		}
	}
}

// probe is how often a member of the WAN pool probes another one, by default.
const probe = 5 * time.Second

// failover loses the datacenter that a prepared query fails over to, whose processes end or whose links fall silent, and gets it back.
func (f *federation) failover(t *testing.T) {
	t.Helper()
	for _, s := range f.sites[1:] {
		body := `{"Name": "web", "Port": 80}`
		if status, answer, err := f.call("PUT", s.client.url()+"/v1/agent/service/register", body); err != nil || status != http.StatusOK {
			t.Fatal(status, string(answer), err)
		}
	}
	body := `{"Name": "near", "Service": {"Service": "web", "Failover": {"Datacenters": ["dc2", "dc3"]}}}`
	if status, answer, err := f.call("POST", f.sites[0].server.url()+"/v1/query", body); err != nil || status != http.StatusOK {
		t.Fatal(status, string(answer), err)
	}
	lost := f.sites[1]
	f.answers(t, "a prepared query fails over", time.Minute, lost.client)
	lost.server.kill()
	lost.client.kill()
	var next *agent
	if len(f.sites) > 2 {
		next = f.sites[2].client
	}
	f.answers(t, "it has left the lost datacenter", 2*probe, next)
	for _, a := range []*agent{lost.server, lost.client} {
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
	}
	f.await(t, "the datacenter is back", time.Minute, func() error {
		var found []any
		if err := f.get(lost.server, "/v1/health/service/web?passing", &found); err != nil || len(found) == 0 {
			return fmt.Errorf("%d instances: %v", len(found), err)
		}
		return nil
	})
	f.answers(t, "it is there again", 2*probe, lost.client)
	silent := func(is bool) {
		for i := range f.sites {
			if i != 1 {
				f.part(i+1, 2, is)
			}
		}
	}
	silent(true)
	f.answers(t, "it has left a datacenter that fell silent", 2*probe, next)
	silent(false)
	f.answers(t, "it is there again", 2*probe, lost.client)
}

// answers waits until the prepared query near gives the instance of an agent, or none, at each agent of dc1, over HTTP and DNS.
func (f *federation) answers(t *testing.T, what string, patience time.Duration, want *agent) {
	t.Helper()
	var addresses []string
	if want != nil {
		addresses = []string{want.address}
	}
	f.await(t, what, patience, func() error {
		for _, a := range []*agent{f.sites[0].server, f.sites[0].client} {
			var got struct {
				Nodes []struct{ Node struct{ Address string } }
			}
			if err := f.get(a, "/v1/query/near/execute", &got); err != nil {
				return err
			}
			var over []string
			for _, n := range got.Nodes {
				over = append(over, n.Node.Address)
			}
			names, err := f.lookup(a, "near.query.consul.")
			if err != nil || !slices.Equal(over, addresses) || !slices.Equal(names, addresses) {
				return fmt.Errorf("%s answers %v over HTTP, and %v over DNS (%w)", a.name, over, names, err)
			}
		}
		return nil
	})
}

// lookup asks an agent for the addresses of a name; none are no error.
func (f *federation) lookup(a *agent, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, kind, _ string) (net.Conn, error) {
		return f.network.dial(ctx, kind, a.address+":8600")
	}}
	all, err := resolver.LookupHost(ctx, name)
	var none *net.DNSError
	if errors.As(err, &none) && none.IsNotFound {
		err = nil
	}
	return all, err
}

// linkCut cuts the link to another datacenter and mends it.
func (f *federation) linkCut(t *testing.T) {
	t.Helper()
	here := f.sites[0]
	f.part(1, 2, true)
	if len(f.sites) == 2 {
		f.await(t, "a cut link is noticed", 2*probe, func() error {
			begun := time.Now()
			status, body, err := f.call("GET", here.client.url()+"/v1/kv/far?dc=dc2", "")
			if err != nil || status != http.StatusInternalServerError || !strings.HasPrefix(string(body), "No path to datacenter") {
				return fmt.Errorf("%d %s %w", status, body, err)
			}
			if took := time.Since(begun); took > time.Second {
				return fmt.Errorf("an error after %s", took)
			}
			return nil
		})
	} else {
		f.await(t, "a request goes round a cut link", 2*probe, func() error { return f.get(here.client, "/v1/kv/far?dc=dc2", new([]any)) })
		direct, round := f.roundTrips(t, here.server.host, f.sites[2].server.host, 50), f.times(t, here.client, "/v1/kv/far?dc=dc2", 50)
		t.Logf("%-34s %s", "read that goes round", percentiles(round))
		if over := quantile(round, quiet) - 2*quantile(direct, quiet); over > 5*time.Millisecond {
			t.Errorf("a read that goes round costs %s more than two round trips", over)
		}
	}
	near := f.times(t, here.client, "/v1/kv/near", 50)
	t.Logf("%-34s %s", "local read meanwhile", percentiles(near))
	f.part(1, 2, false)
	f.await(t, "the link is used again", 2*probe, func() error {
		begun := time.Now()
		if err := f.get(here.client, "/v1/kv/far?dc=dc2", new([]any)); err != nil {
			return err
		}
		if took := time.Since(begun); took > 120*time.Millisecond {
			return fmt.Errorf("a read took %s", took)
		}
		return nil
	})
}

// hang stops the processes of a datacenter and lets them go on.
func (f *federation) hang(t *testing.T) {
	t.Helper()
	here, stopped := f.sites[0], f.sites[1]
	signal := func(s syscall.Signal) {
		for _, a := range []*agent{stopped.server, stopped.client} {
			if err := a.signal(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	done := make(chan error, 100) // who is held up by the datacenter
	for i := range cap(done) {
		go func() {
			_, _, err := f.call("GET", fmt.Sprintf("%s/v1/kv/far%d?dc=dc2", here.client.url(), i), "")
			done <- err
		}()
	}
	near := f.times(t, here.client, "/v1/kv/near", 50)
	t.Logf("%-34s %s", "local read beside a hung one", percentiles(near))
	if len(f.sites) > 2 {
		link := f.roundTrips(t, here.server.host, f.sites[2].server.host, 50)
		third := f.times(t, here.client, "/v1/kv/far?dc=dc3", 50)
		t.Logf("%-34s %s", "read of a third datacenter", percentiles(third))
		if over := quantile(third, quiet) - quantile(link, quiet); over > 5*time.Millisecond {
			t.Errorf("a read of a third datacenter costs %s more than the round trip", over)
		}
	}
	begun := time.Now()
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d requests to a datacenter that hangs were answered after %s", cap(done), time.Since(begun).Round(time.Millisecond))
	begun = time.Now()
	status, body, err := f.call("GET", here.client.url()+"/v1/kv/far?dc=dc2", "")
	if took := time.Since(begun); err != nil || status != http.StatusInternalServerError || took > time.Second {
		t.Errorf("%d %s %v after %s", status, body, err, took)
	}
	signal(syscall.SIGCONT)
	f.await(t, "it is reached again", 2*probe, func() error { return f.get(here.client, "/v1/kv/far?dc=dc2", new([]any)) })
}

// archives saves and restores a datacenter that is reached only through a third one, and cuts that way in the middle.
func (f *federation) archives(t *testing.T) {
	t.Helper()
	here, there := f.sites[0], f.sites[1]
	for i := range 20 {
		value := make([]byte, 500<<10)
		_, _ = rand.Read(value)
		if status, body, err := f.call("PUT", fmt.Sprintf("%s/v1/kv/big%d", there.server.url(), i), string(value)); err != nil || status != http.StatusOK {
			t.Fatal(status, string(body), err)
		}
	}
	f.part(1, 2, true)
	defer f.part(1, 2, false)
	whole, half := filepath.Join(f.dir, "whole.snap"), filepath.Join(f.dir, "half.snap")
	f.await(t, "an archive comes round a cut link", time.Minute, func() error { return f.cli(here.client, "snapshot", "save", "-datacenter=dc2", whole) })
	f.put(t, there.server, "since")
	for _, args := range [][]string{{"save", "-datacenter=dc2", half}, {"restore", "-datacenter=dc2", whole}} {
		f.await(t, "dc2 is reached", time.Minute, func() error { return f.get(here.client, "/v1/kv/since?dc=dc2", new([]any)) })
		cut := time.AfterFunc(1500*time.Millisecond, func() { f.part(2, 3, true) }) // ten megabytes take far longer over such links
		begun := time.Now()
		err := f.cli(here.client, append([]string{"snapshot"}, args...)...)
		if took := time.Since(begun); cut.Stop() {
			t.Errorf("snapshot %s was done before a link was cut: %v after %s", args[0], err, took)
		} else if err == nil || took > 30*time.Second {
			t.Errorf("a link was cut under snapshot %s: %v after %s", args[0], err, took)
		}
		t.Logf("a link is cut under snapshot %s: after %s: %v", args[0], time.Since(begun).Round(time.Millisecond), err)
		f.part(2, 3, false)
	}
	if left, err := filepath.Glob(half + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if err := f.get(there.server, "/v1/kv/since", new([]any)); err != nil {
		t.Errorf("half an archive was restored: %v", err)
	}
	f.await(t, "an archive goes round a cut link", time.Minute, func() error { return f.cli(here.client, "snapshot", "restore", "-datacenter=dc2", whole) })
	if err := f.get(there.server, "/v1/kv/since", new([]any)); err == nil {
		t.Error("an archive was not restored")
	}
}

// cli runs a command of the command line against an agent.
func (f *federation) cli(a *agent, args ...string) error {
	return try("ip", append([]string{"netns", "exec", f.network.prefix + "net", "env", "CONSUL_HTTP_ADDR=" + a.url(), lictor()}, args...)...)
}

// TestFederationCost prints what requests to another datacenter cost beside the round trip, over links with and without delay. The
// round trip is that of a message of the same size over TCP, to a process that does nothing else; what a request costs at least is
// shown by echoes that are asked over HTTP and forward messages the way that agents forward requests. All take turns, so that all
// meet the same load of this machine, and processes that have slept as long.
func TestFederationCost(t *testing.T) {
	f := federateWith(t, 2, link{}, map[string]any{"log_level": "INFO"}) // the default: lines cost time
	f.converge(t)
	f.put(t, f.sites[1].server, "far")
	f.put(t, f.sites[0].server, "far")
	here, there := f.sites[0], f.sites[1]
	there.server.echo(t, "")
	here.server.echo(t, there.server.address)
	here.client.echo(t, here.server.address)
	direct := talkTo(t, namespace(t, here.server.namespace), there.server.host)
	const number = 60
	for _, delay := range []time.Duration{0, 40 * time.Millisecond} {
		f.join(1, 2, link{delay: delay})
		rows := []row{{"round trip of the link", direct.ask}}
		for _, a := range []*agent{here.server, here.client} {
			bare := &agent{host: a.host, port: echoHTTPPort}
			talkTo(t, f.network.bridge, a.host) // it listens
			for _, path := range []string{"/near", "/far"} {
				rows = append(rows, row{a.name + " bare " + path, func() error { return f.get(bare, path, new([]any)) }})
			}
			for _, path := range []string{"/v1/kv/far", "/v1/kv/far?dc=dc2", "/v1/kv/far?dc=dc2&consistent", "/v1/health/service/consul?dc=dc2"} {
				rows = append(rows, row{a.name + " " + path, func() error { return f.get(a, path, new([]any)) }})
			}
		}
		lines := []string{fmt.Sprintf("%s each way", delay)}
		for i, all := range inTurns(t, rows, number) {
			lines = append(lines, fmt.Sprintf("%-40s %s", rows[i].name, percentiles(all)))
		}
		for _, a := range []*agent{here.server, here.client} {
			lines = append(lines, fmt.Sprintf("%-40s %s", a.name+" wake-up after a write, one way", percentiles(f.wakeUps(t, a, number/2))))
		}
		t.Log("\n" + strings.Join(lines, "\n"))
	}
}

// A row is something that is measured.
type row struct {
	name string
	do   func() error
}

// inTurns measures each row so many times, one row after the other.
func inTurns(t *testing.T, rows []row, number int) [][]time.Duration {
	t.Helper()
	all := make([][]time.Duration, len(rows))
	for range number {
		for i, r := range rows {
			begun := time.Now()
			if err := r.do(); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
			all[i] = append(all[i], time.Since(begun))
		}
	}
	return all
}

// wakeUps measures how long after a write in dc2 was acknowledged there a read ends that waits for it at an agent.
func (f *federation) wakeUps(t *testing.T, a *agent, number int) (all []time.Duration) {
	t.Helper()
	wait := func(index string) (string, error) {
		answer, err := f.http.Get(a.url() + "/v1/kv/far?dc=dc2&wait=20s&index=" + index)
		if err != nil {
			return "", err
		}
		return answer.Header.Get("X-Consul-Index"), answer.Body.Close()
	}
	index, err := wait("0")
	if err != nil {
		t.Fatal(err)
	}
	for i := range number {
		type end struct {
			at    time.Time
			index string
			err   error
		}
		woken := make(chan end, 1)
		go func() {
			index, err := wait(index)
			woken <- end{time.Now(), index, err}
		}()
		time.Sleep(200 * time.Millisecond) // it waits by now
		url := f.sites[1].server.url() + "/v1/kv/far"
		if status, body, err := f.call("PUT", url, strconv.Itoa(i)); err != nil || status != http.StatusOK {
			t.Fatal(status, string(body), err)
		}
		written := time.Now()
		e := <-woken
		if e.err != nil {
			t.Fatal(e.err)
		}
		index, all = e.index, append(all, e.at.Sub(written))
	}
	return all
}

// await waits until try finds nothing wrong, and prints how long that took.
func (f *federation) await(t *testing.T, what string, patience time.Duration, try func() error) {
	t.Helper()
	begun := time.Now()
	var last error
	for err := try(); err != nil; err = try() {
		if last = err; time.Since(begun) > patience {
			t.Fatalf("not within %s: %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s: after %s (before: %v)", what, time.Since(begun).Round(time.Millisecond), last)
}

// get reads something at an agent.
func (f *federation) get(a *agent, path string, into any) error {
	status, body, err := f.call("GET", a.url()+path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s at %s: %d %s", path, a.name, status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (f *federation) put(t *testing.T, a *agent, key string) {
	t.Helper()
	if status, body, err := f.call("PUT", a.url()+"/v1/kv/"+key, "v"); err != nil || status != http.StatusOK {
		t.Fatalf("put %s at %s: %d %s %v", key, a.name, status, body, err)
	}
}

// times measures some requests one after the other.
func (f *federation) times(t *testing.T, a *agent, path string, number int) (all []time.Duration) {
	t.Helper()
	for range number {
		begun := time.Now()
		if err := f.get(a, path, new([]any)); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(begun))
	}
	return all
}

// quantile is the time that a part of all does not exceed.
func quantile(all []time.Duration, part float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[int(part*float64(len(all)-1))]
}

func percentiles(all []time.Duration) string {
	text := "ms:"
	for _, part := range []float64{0, 0.1, 0.5, 0.99} {
		text += fmt.Sprintf("  p%02.0f %8.2f", part*100, quantile(all, part).Seconds()*1000)
	}
	return text
}
