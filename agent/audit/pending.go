package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

// pendingName is the file, in the data directory, of what was done there while no agent ran. The next agent with an audit
// log takes it over.
const pendingName = "audit-pending.json"

// maxPending bounds that file.
const maxPending = 1 << 20

// Leave records something that was done on this host with the data directory of a stopped agent.
func Leave(dataDir, node string, what Request, r Response) error {
	who := &Auth{Description: "user of the host"}
	if u, err := user.Current(); err == nil {
		who.Description += " " + u.Username
	}
	e := Event{ID: newID(), Version: "1", Type: Local, Timestamp: time.Now(), Node: node, Auth: who, Request: what, Response: &r, Stage: Complete}
	f, err := os.OpenFile(filepath.Join(dataDir, pendingName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > maxPending {
		err = fmt.Errorf("%s is full: start an agent with an audit log, which takes it over, or remove it", f.Name())
	}
	if err == nil {
		_, err = f.Write(e.line())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// TakeOver writes what was done in the data directory while no agent ran. It does so if the log is on; otherwise that is
// kept for later.
func (l *Log) TakeOver(dataDir string) error {
	if !l.On() {
		return nil
	}
	path := filepath.Join(dataDir, pendingName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			l.put(line, &hold{patience})
		}
	}
	return os.Remove(path)
}
