package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lictor/atrest"
	"lictor/config"
	"lictor/durable"
	"lictor/rpc"
)

// An atRestReport tells how much of what an agent keeps is under which key.
type atRestReport struct {
	File    string      // of keys; "" if there is none
	Writes  string      // id of the key that writes; "" is plaintext
	Under   []atRestUse // keys in use, and plaintext as ""
	Unused  []string    // keys of the file that nothing needs any more
	Done    bool        // all is as Writes says
	Restart bool        // raft.db is written anew at the next start, and may have remains of what was deleted until then
}

// An atRestUse tells what is under one key.
type atRestUse struct {
	Key       string
	Entries   int // of Raft's log
	Snapshots int // of Raft
	Files     int // registrations, tokens, and what the servers gave
}

// openKeys reads the file of keys at the start.
func (a *Agent) openKeys() error {
	keys, err := loadKeys(a.cfg)
	if err != nil {
		return err
	}
	a.atRest.Use(keys)
	return nil
}

func loadKeys(c *config.Config) (*atrest.Keys, error) {
	if c.AtRest.KeyFile == "" {
		return nil, nil
	}
	keys, err := atrest.Load(c.AtRest.KeyFile, !c.AtRest.Enabled)
	if err != nil {
		return nil, fmt.Errorf("encryption_at_rest.key_file: %w", err)
	}
	return keys, nil
}

// newKeys reads the file of keys while the agent runs. Keys that are in use must stay.
func (a *Agent) newKeys(c *config.Config) (*atrest.Keys, error) {
	if a.dataDir() == "" {
		return nil, nil
	}
	keys, err := loadKeys(c)
	if err != nil {
		return nil, err
	}
	lost := slices.DeleteFunc(a.atRest.Keys().IDs(), func(id atrest.ID) bool { return keys.Has(id) == nil })
	if len(lost) == 0 {
		return keys, nil
	}
	now, err := a.atRestNow()
	if err != nil {
		return nil, err
	}
	for _, id := range lost {
		for _, u := range now.Under {
			if u.Key == id.String() {
				return nil, fmt.Errorf("encryption_at_rest.key_file: the key %s is still in use, and %q does not have it any more: put it back, "+
					"behind the first one, and run lictor operator at-rest rotate", id, c.AtRest.KeyFile)
			}
		}
	}
	return keys, nil
}

// keptFiles lists the files that are encrypted as a whole.
func (a *Agent) keptFiles() ([]string, error) {
	files, err := a.local.Files()
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(path string) bool { return strings.HasSuffix(path, durable.Temporary) })
	return append(files, filepath.Join(a.dataDir(), "acl-tokens.json"), filepath.Join(a.dataDir(), introducedFile)), nil
}

// atRestNow looks at all that is kept.
func (a *Agent) atRestNow() (*atRestReport, error) {
	keys := a.atRest.Keys()
	r := &atRestReport{File: keys.Path(), Done: true, Unused: []string{}, Under: []atRestUse{}}
	if id, ok := keys.Writes(); ok {
		r.Writes = id.String()
	}
	use := map[string]*atRestUse{}
	of := func(key string) *atRestUse {
		if use[key] == nil {
			use[key] = &atRestUse{Key: key}
		}
		return use[key]
	}
	if err := a.countFiles(func(key string) { of(key).Files++ }); err != nil {
		return nil, err
	}
	if a.server != nil {
		sealed, err := a.server.node.Sealed()
		if err != nil {
			return nil, err
		}
		for key, n := range sealed.Entries {
			of(key).Entries = n
		}
		for key, n := range sealed.Snapshots {
			of(key).Snapshots = n
		}
		r.Restart = sealed.Remains
	}
	for key, u := range use {
		r.Under = append(r.Under, *u)
		r.Done = r.Done && key == r.Writes
	}
	slices.SortFunc(r.Under, func(x, y atRestUse) int { return strings.Compare(x.Key, y.Key) })
	for _, id := range keys.IDs() {
		if key := id.String(); use[key] == nil && key != r.Writes {
			r.Unused = append(r.Unused, key)
		}
	}
	return r, nil
}

// countFiles tells the key of each file, "" for plaintext.
func (a *Agent) countFiles(tell func(key string)) error {
	files, err := a.keptFiles()
	if err != nil {
		return err
	}
	for _, path := range files {
		id, sealed, err := atrest.KeyOfFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case sealed:
			tell(id.String())
		default:
			tell("")
		}
	}
	return nil
}

// errNothingKept is the answer of an agent that keeps nothing.
func errNothingKept() error {
	return rpc.Errorf(rpc.Invalid, "this agent runs with -dev and keeps nothing on disk")
}

// AtRest tells what is kept under which key.
func (p process) AtRest() (any, error) {
	if p.dataDir() == "" {
		return nil, errNothingKept()
	}
	return p.atRestNow()
}

// rotation bounds how long it may take until a snapshot can be taken of all that was written before.
const rotation = 2 * time.Minute

// RotateAtRest reads the file of keys again and brings all that is kept under the key that writes then.
func (p process) RotateAtRest(ctx context.Context) (any, error) {
	if p.dataDir() == "" {
		return nil, errNothingKept()
	}
	p.reload.Lock()
	defer p.reload.Unlock()
	keys, err := p.newKeys(p.current.Load())
	if err != nil {
		return nil, err
	}
	p.atRest.Use(keys)
	ctx, cancel := context.WithTimeout(ctx, rotation)
	defer cancel()
	if err := p.reseal(ctx); err != nil {
		return nil, err
	}
	now, err := p.atRestNow()
	if err == nil {
		p.log.Info("what is kept was brought under one key", "key", now.Writes, "done", now.Done, "restart", now.Restart)
	}
	return now, err
}

// reseal brings all under the key that writes.
func (a *Agent) reseal(ctx context.Context) error {
	if err := a.local.Reseal(); err != nil {
		return err
	}
	if err := a.secrets.reseal(); err != nil {
		return err
	}
	if err := a.resealIntroduction(); err != nil {
		return err
	}
	if a.server == nil {
		return nil
	}
	if err := a.server.node.Reseal(ctx); err != nil {
		return fmt.Errorf("raft: %w", err)
	}
	return nil
}

func (a *Agent) resealIntroduction() error {
	a.introduction.Lock()
	defer a.introduction.Unlock()
	err := a.atRest.Reseal(filepath.Join(a.dataDir(), introducedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
