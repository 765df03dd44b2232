package agent

import (
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"lictor/config"
)

// settle is how long the configuration files must be quiet before they are read again: who writes several of them, or
// one in several steps, causes one reload.
const settle = 500 * time.Millisecond

// startWatching reloads the configuration when one of its files changes, if auto_reload_config asks for it.
func (a *Agent) startWatching() {
	if !a.cfg.Node.AutoReload {
		return
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		a.log.Error("auto_reload_config: the files of the configuration cannot be watched", "error", err)
		return
	}
	w := &sourceWatch{events: events, sources: a.sources}
	if err := w.follow(); err != nil {
		a.log.Error("auto_reload_config: a directory of the configuration cannot be watched", "error", err)
	}
	w.changed()
	a.running.Go(func() {
		defer events.Close()
		a.watch(w)
	})
}

func (a *Agent) watch(w *sourceWatch) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-w.events.Events:
			quiet.Reset(settle)
		case err := <-w.events.Errors:
			a.log.Warn("auto_reload_config", "error", err)
		case <-quiet.C:
			if err := w.follow(); err != nil {
				a.log.Warn("auto_reload_config", "error", err)
			}
			if w.changed() {
				a.log.Info("a file of the configuration has changed")
				a.ReloadNow()
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// A sourceWatch tells when the files that a configuration is read from have changed. It watches directories, because
// editors replace files and new files appear in them, and what else happens in a directory is found to change nothing.
type sourceWatch struct {
	events  *fsnotify.Watcher
	sources config.Sources
	seen    map[string]os.FileInfo // by path; what a symbolic link leads to
}

// follow watches all directories that files can come from now: those given, those of the files, and, as a file may be
// reached through symbolic links that are swapped (Kubernetes mounts configuration so), those where links lead to.
func (w *sourceWatch) follow() error {
	dirs := map[string]bool{}
	for _, path := range append(w.sources.Files(), w.sources.Paths...) {
		for _, p := range []string{path, resolved(path)} {
			if info, err := os.Stat(p); err == nil && info.IsDir() {
				dirs[p] = true
			}
			dirs[filepath.Dir(p)] = true
		}
	}
	for dir := range dirs {
		if err := w.events.Add(dir); err != nil {
			return err
		}
	}
	return nil
}

// resolved is where a path leads to.
func resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// changed tells whether the files differ from those of the call before: others, or with other content.
func (w *sourceWatch) changed() bool {
	before := w.seen
	w.seen = map[string]os.FileInfo{}
	same := true
	for _, file := range w.sources.Files() {
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		w.seen[file] = info
		was := before[file]
		same = same && was != nil && os.SameFile(was, info) && was.Size() == info.Size() && was.ModTime().Equal(info.ModTime())
	}
	return !same || len(w.seen) != len(before)
}
