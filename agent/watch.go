package agent

import (
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the configuration files must be quiet before they are read again: who writes several of them, or
// one in several steps, causes one reload.
const settle = 500 * time.Millisecond

// startWatching reloads the configuration when one of its files changes, if auto_reload_config asks for it.
func (a *Agent) startWatching() {
	if !a.cfg.Node.AutoReload {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		a.log.Error("auto_reload_config: the files of the configuration cannot be watched", "error", err)
		return
	}
	dirs := map[string]bool{}
	for _, file := range a.files { // directories, because editors replace files
		dirs[filepath.Dir(file)] = true
	}
	for dir := range dirs {
		if err := w.Add(dir); err != nil {
			a.log.Error("auto_reload_config: a directory of the configuration cannot be watched", "directory", dir, "error", err)
		}
	}
	a.running.Go(func() {
		defer w.Close()
		a.watch(w)
	})
}

func (a *Agent) watch(w *fsnotify.Watcher) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case e := <-w.Events:
			if ext := filepath.Ext(e.Name); ext == ".hcl" || ext == ".json" {
				quiet.Reset(settle)
			}
		case err := <-w.Errors:
			a.log.Warn("auto_reload_config", "error", err)
		case <-quiet.C:
			a.log.Info("a file of the configuration has changed")
			a.ReloadNow()
		case <-a.ctx.Done():
			return
		}
	}
}
