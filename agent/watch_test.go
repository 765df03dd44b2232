package agent

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"

	"lictor/config"
)

func TestReloadByItself(t *testing.T) {
	noLeaks(t)
	files := t.TempDir()
	write(t, files, "base.hcl", basis(t, t.TempDir())+"\nauto_reload_config = true")
	write(t, files, "web.hcl", `service { name = "web" }`)
	s := watching(t, config.Options{Paths: []string{files}})
	s.eventually("web is there", s.has("web"))
	write(t, files, "web.tmp", `service { name = "api" }`)
	if err := os.Rename(filepath.Join(files, "web.tmp"), filepath.Join(files, "web.hcl")); err != nil {
		t.Fatal(err)
	}
	s.eventually("a replaced file is taken over", s.has("api"))
	write(t, files, "more.hcl", `service { name = "more" }`)
	s.eventually("a new file is taken over", s.has("more"))
	write(t, files, "more.hcl", `service { nme = "more" }`)
	s.eventually("a bad file is reported", func() bool { return strings.Contains(s.log.String(), "nme") })
	if !s.has("more")() {
		t.Error("a bad file has changed something")
	}
}

// TestReloadByItselfOfAllFiles changes files that are reached in other ways than by their name in a directory.
func TestReloadByItselfOfAllFiles(t *testing.T) {
	const before, after = `service { name = "before" }`, `service { name = "after" }`
	for name, lay := range map[string]func(t *testing.T, dir string) (config.Options, func()){
		"a name without an end that is known": func(t *testing.T, dir string) (config.Options, func()) {
			write(t, dir, "web.conf", before)
			return config.Options{Paths: []string{filepath.Join(dir, "web.conf")}, Format: "hcl"}, func() { write(t, dir, "web.conf", after) }
		},
		"a directory that was empty": func(t *testing.T, dir string) (config.Options, func()) {
			write(t, dir, "web.hcl", before)
			empty := t.TempDir()
			return config.Options{Paths: []string{filepath.Join(dir, "web.hcl"), empty}}, func() { write(t, empty, "x.hcl", after) }
		},
		"a link to a file elsewhere": func(t *testing.T, dir string) (config.Options, func()) {
			elsewhere := t.TempDir()
			write(t, elsewhere, "web.hcl", before)
			link(t, filepath.Join(elsewhere, "web.hcl"), filepath.Join(dir, "web.hcl"))
			return config.Options{Paths: []string{dir}}, func() { write(t, elsewhere, "web.hcl", after) }
		},
		"links that Kubernetes swaps": func(t *testing.T, dir string) (config.Options, func()) {
			for version, text := range map[string]string{"..1": before, "..2": after} {
				if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, version), "web.hcl", text)
			}
			link(t, "..1", filepath.Join(dir, "..data"))
			link(t, "..data/web.hcl", filepath.Join(dir, "web.hcl"))
			return config.Options{Paths: []string{dir}}, func() {
				link(t, "..2", filepath.Join(dir, "..tmp"))
				if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			o, change := lay(t, t.TempDir())
			o.Fragments = []string{basis(t, t.TempDir()), "auto_reload_config = true"}
			s := watching(t, o)
			s.eventually("the service is there", s.has("before"))
			change()
			s.eventually("the change is taken over", s.has("after"))
		})
	}
}

// TestOnlyConfigurationReloads writes files beside those of the configuration, as a log or a data directory does.
func TestOnlyConfigurationReloads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.hcl", "")
	events, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	w := &sourceWatch{events: events, sources: config.Sources{Paths: []string{dir}}}
	w.changed()
	write(t, dir, "agent.log", "line")
	if w.changed() {
		t.Error("another file counts as a change")
	}
	write(t, dir, "b.json", "{}")
	if !w.changed() {
		t.Error("a new file counts for nothing")
	}
	if err := os.Remove(filepath.Join(dir, "a.hcl")); err != nil {
		t.Fatal(err)
	}
	if !w.changed() {
		t.Error("a removed file counts for nothing")
	}
}

// watching starts an agent of a configuration that is read from files.
func watching(t *testing.T, o config.Options) *subject {
	t.Helper()
	s := &subject{t: t, log: &record{}, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var err error
	s.Agent, err = New(Config{Output: s.log, Load: func() (*config.Loaded, error) { return config.Load(o) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// has asks whether the agent has a service.
func (s *subject) has(name string) func() bool {
	return func() bool { return strings.Contains(s.get("/v1/agent/services"), fmt.Sprintf("%q", name)) }
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}
