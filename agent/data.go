package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lictor/durable"
)

// dataDir is where what outlives the process is kept; "" keeps nothing.
func (a *Agent) dataDir() string {
	if a.cfg.Node.DevMode {
		return ""
	}
	return a.cfg.Node.DataDir
}

// openData makes the data directory this process's own, finds the node's id and writes the pid file.
func (a *Agent) openData() error {
	if dir := a.dataDir(); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("data_dir: %w", err)
		}
		unlock, err := lockDir(dir)
		if err != nil {
			return err
		}
		a.cleanups.add(unlock)
		if err := a.openKeys(); err != nil {
			return err
		}
	}
	var err error
	if a.id, err = a.nodeID(); err != nil {
		return err
	}
	return a.writePID()
}

// lockPatience is how long a start waits for the lock of the data directory: an agent that was killed a moment ago may
// not have ended altogether.
const lockPatience = 2 * time.Second

// lockDir keeps other agents out of the directory until unlock is called or the process ends.
func lockDir(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	for end := time.Now().Add(lockPatience); unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().Before(end) {
			continue
		}
		f.Close()
		return nil, fmt.Errorf("data_dir: %s is in use by another agent (%s is locked); stop it, or give this one a directory of its own", dir, path)
	}
	return f.Close, nil
}

// nodeID is the configured id, or the one in the data directory, or a new one that is kept there.
func (a *Agent) nodeID() (string, error) {
	if a.dataDir() == "" {
		if a.cfg.Node.ID != "" {
			return a.cfg.Node.ID, nil
		}
		return newID(), nil
	}
	path := filepath.Join(a.dataDir(), "node-id")
	id := a.cfg.Node.ID
	if id == "" {
		text, err := os.ReadFile(path)
		if err == nil {
			return validID(path, strings.ToLower(strings.TrimSpace(string(text))))
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("read the node id: %w", err)
		}
		id = newID()
	}
	return id, durable.Replace(path, []byte(id), 0o600)
}

func validID(path, id string) (string, error) {
	shape := strings.Map(func(c rune) rune {
		if strings.ContainsRune("0123456789abcdef", c) {
			return 'x'
		}
		return c
	}, id)
	if shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" {
		return id, nil
	}
	return "", fmt.Errorf("%s holds %q, which is not a UUID; remove the file to get a new id", path, id)
}

// newID makes a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// writePID writes the process's id where the configuration asks for it.
func (a *Agent) writePID() error {
	path := a.cfg.Node.PIDFile
	if path == "" {
		return nil
	}
	if err := durable.Replace(path, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("pid_file: %w", err)
	}
	a.cleanups.add(func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("pid_file: %w", err)
		}
		return nil
	})
	return nil
}
