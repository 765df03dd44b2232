package local

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lictor/catalog"
)

// crash opens a second State on what the first has on its disk at this moment, without stopping the first.
func crash(t *testing.T, b *bench, change func(*Config)) *bench {
	t.Helper()
	dir := t.TempDir()
	b.must(os.CopyFS(dir, os.DirFS(b.DataDir)))
	return open(t, func(c *Config) {
		c.DataDir = dir
		if change != nil {
			change(c)
		}
	})
}

func TestRegistrationsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := open(t, func(c *Config) { c.DataDir = dir })
		defer b.Stop()
		ctx := context.Background()
		full := &catalog.ServiceDefinition{
			Name: "web", ID: "a/b c", Port: 80, Tags: []string{"x"}, Meta: map[string]string{"k": "v"}, Token: "secret",
			Weights: &catalog.Weights{Passing: 2, Warning: 1}, Connect: &catalog.ConnectDefinition{SidecarService: &catalog.ServiceDefinition{}},
			Checks: []*catalog.CheckDefinition{ttl(time.Minute), httpCheck(), ttl(time.Second)},
		}
		b.register(full)
		b.must(b.RegisterCheck(ctx, &catalog.CheckDefinition{Name: "mem", TTL: 1e12, Status: catalog.Passing}, ""))
		b.must(b.UpdateCheck(ctx, "service:a/b c:1", catalog.Warning, "so so"))
		b.must(b.UpdateCheck(ctx, "service:a/b c:3", catalog.Passing, "short"))
		b.hand.report("service:a/b c:2", catalog.Passing, "up")
		b.must(b.SetServiceMaintenance(ctx, "a/b c", true, "why", ""))
		b.must(b.SetNodeMaintenance(ctx, true, "", ""))
		b.register(&catalog.ServiceDefinition{Name: "gone", Check: ttl(time.Minute)})
		b.must(b.DeregisterService(ctx, "gone"))
		time.Sleep(2 * time.Second)

		c := crash(t, b, nil)
		defer c.Stop()
		if diff := cmp.Diff(b.Services(), c.Services()); diff != "" {
			t.Error(diff)
		}
		checks := b.Checks()
		checks["service:a/b c:2"].Status, checks["service:a/b c:2"].Output = catalog.Critical, "" // until it runs
		checks["service:a/b c:3"].Status, checks["service:a/b c:3"].Output = catalog.Critical, "" // its TTL is over
		checks["mem"].Status = catalog.Critical                                                   // never heard of
		if diff := cmp.Diff(checks, c.Checks()); diff != "" {
			t.Error(diff)
		}
		if c.table.service("a/b c").token != "secret" || c.table.service("a/b c-sidecar-proxy").parent != "a/b c" {
			t.Error("the token or the parent is lost")
		}
		if _, runs := c.hand.find("service:a/b c:2"); !runs {
			t.Error("a restored check does not run")
		}
		if state, _ := c.hand.find("service:a/b c:1"); state.Status != catalog.Warning || state.Remaining != 58*time.Second {
			t.Errorf("a restored TTL check goes on with %+v", state)
		}
		c.must(c.DeregisterService(ctx, "a/b c"))
		c.must(c.DeregisterCheck(ctx, "mem"))
		c.must(c.SetNodeMaintenance(ctx, false, "", ""))
		if left := files(t, c.DataDir); len(left) != 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilesWin(t *testing.T) {
	b := open(t, func(c *Config) { c.DataDir = t.TempDir() })
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "web", Port: 1, Check: ttl(time.Hour)})
	b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, "fine"))
	c := crash(t, b, func(c *Config) {
		c.Definitions.Services = []*catalog.ServiceDefinition{{Name: "web", Port: 2, Check: ttl(time.Hour)}}
	})
	defer c.Stop()
	if row, _ := c.Service("web"); row.Port != 2 {
		t.Error("what was registered over HTTP wins over the configuration")
	}
	if got := c.CheckRow("service:web"); got.Status != catalog.Passing || got.Output != "fine" {
		t.Errorf("the state of a TTL check from a file is lost: %+v", got)
	}
	d := crash(t, c, nil)
	defer d.Stop()
	if len(d.Services())+len(d.Checks()) != 0 {
		t.Error("a definition that left the configuration comes back")
	}
}

func TestFileCheckOfKeptService(t *testing.T) {
	b := open(t, func(c *Config) { c.DataDir = t.TempDir() })
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "web"})
	c := crash(t, b, func(c *Config) {
		c.Definitions.Checks = []*catalog.CheckDefinition{{Name: "extra", ServiceID: "web", TTL: 1e12}}
	})
	defer c.Stop()
	if c.CheckRow("extra") == nil {
		t.Error("a check from a file is lost")
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	b := open(t, func(c *Config) { c.DataDir = t.TempDir() })
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "web", Check: ttl(time.Hour)})
	b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, ""))
	for _, path := range []string{"services/x", "services/y.tmp", "checks/x", "checks/state/x"} {
		b.must(os.WriteFile(filepath.Join(b.DataDir, path), []byte(`{"Service":{"Na`), 0o600))
	}
	b.must(os.WriteFile(filepath.Join(b.DataDir, "checks/empty"), nil, 0o600))
	b.must(os.WriteFile(filepath.Join(b.DataDir, "services/null"), []byte("null"), 0o600))
	c := crash(t, b, nil)
	defer c.Stop()
	if row, _ := c.Service("web"); row == nil || c.CheckRow("service:web").Status != catalog.Passing {
		t.Error("damaged files keep good ones from being read")
	}
	var aside []string
	for _, f := range files(t, c.DataDir) {
		if strings.HasSuffix(f, ".tmp") {
			t.Errorf("%s is left", f)
		}
		if name, ok := strings.CutSuffix(f, damaged); ok {
			rel, _ := filepath.Rel(c.DataDir, name)
			aside = append(aside, rel)
		}
	}
	slices.Sort(aside)
	if want := []string{"checks/empty", "checks/state/x", "checks/x", "services/null", "services/x"}; !slices.Equal(aside, want) {
		t.Errorf("set aside %v, want %v", aside, want)
	}
	d := crash(t, c, nil) // and they stay aside
	defer d.Stop()
	if len(d.Services()) != 1 {
		t.Error("a second restart loses something")
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"Service":{"Name":"web","Checks":[{"TTL":"1s"}]},"Source":"remote"}`), []byte(`{"Check":{"CheckID":"c","Name":"c"},"ChkType":{"TTL":"1s"},"Source":"remote"}`), []byte(`{"CheckID":"c","Status":"passing","Expires":9999999999999}`))
	f.Add([]byte(`null`), []byte(`[]`), []byte(`{"CheckID":1}`))
	f.Add([]byte(`{"Service":{"Name":"p","Kind":"connect-proxy"},"Source":"remote"}`), []byte(`{"Check":{"CheckID":"_node_maintenance","Name":"x","Type":"maintenance"},"ChkType":{},"Source":"remote"}`), []byte(``))
	f.Fuzz(func(t *testing.T, service, check, state []byte) {
		dir := t.TempDir()
		for path, content := range map[string][]byte{"services/a": service, "checks/b": check, "checks/state/c": state} {
			path = filepath.Join(dir, path)
			os.MkdirAll(filepath.Dir(path), 0o700)
			os.WriteFile(path, content, 0o600)
		}
		b := open(t, func(c *Config) { c.DataDir = dir })
		defer b.Stop()
		for id := range b.Services() {
			b.must(b.DeregisterService(context.Background(), id))
		}
	})
}
