package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"lictor/atrest"
	"lictor/catalog"
	"lictor/durable"
)

// A store keeps registrations in the data directory, one JSON file each, named by the hash of the id:
//
//	services/<hash>        what came over HTTP
//	checks/<hash>          likewise, also maintenance
//	checks/state/<hash>    the last state of a TTL check
//
// A file is written beside its place, brought to the disk and then renamed. A store without a directory keeps nothing.
// It has no lock: its owner orders the calls.
type store struct {
	dir    string
	log    *slog.Logger
	atRest *atrest.Ring // encrypts the files
}

// A serviceFile is the content of a file in services.
type serviceFile struct {
	Token   string                     `json:",omitempty"`
	Service *catalog.ServiceDefinition // without its checks, which have files of their own
	Source  Source
	Sidecar string `json:"SidecarOf,omitempty"`
}

// A checkFile is the content of a file in checks.
type checkFile struct {
	Token   string `json:",omitempty"`
	Check   *catalog.Check
	ChkType *catalog.CheckDefinition
	Source  Source
}

// A stateFile is the content of a file in checks/state.
type stateFile struct {
	CheckID string
	Status  string
	Output  string
	Expires int64 // Unix time in milliseconds
}

func hashOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

func (s *store) servicePath(id string) string { return filepath.Join(s.dir, "services", hashOf(id)) }
func (s *store) checkPath(id string) string   { return filepath.Join(s.dir, "checks", hashOf(id)) }
func (s *store) statePath(id string) string {
	return filepath.Join(s.dir, "checks", "state", hashOf(id))
}

// open makes the directories.
func (s *store) open() error {
	if s.dir == "" {
		return nil
	}
	for _, d := range []string{"services", "checks", filepath.Join("checks", "state")} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// write puts a value into a file that is there as a whole or not at all. Durably says that it must outlive a loss of
// power and not only the process.
func (s *store) write(path string, value any, durably bool) error {
	if s.dir == "" {
		return nil
	}
	content, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	content = s.atRest.Seal(path, content)
	if durably {
		return durable.Replace(path, content, 0o600)
	}
	next := path + durable.Temporary
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// remove deletes a file, if it is there.
func (s *store) remove(path string) error {
	if s.dir == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// loadAll reads all files of a directory into values. A file that cannot be read is moved aside.
func loadAll[T any](s *store, dir string, valid func(*T) bool) ([]*T, error) {
	if s.dir == "" {
		return nil, nil
	}
	dir = filepath.Join(s.dir, dir)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []*T
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if f.IsDir() || strings.HasSuffix(path, damaged) {
			continue
		}
		if strings.HasSuffix(path, durable.Temporary) { // the process died while it wrote this
			os.Remove(path)
			continue
		}
		v, err := load(s.atRest, path, valid)
		var missing *atrest.MissingKey
		if errors.As(err, &missing) {
			return nil, err
		}
		if err != nil {
			s.setAside(path, err)
			continue
		}
		all = append(all, v)
	}
	return all, nil
}

// files lists all that is kept, what could not be read among it.
func (s *store) files() ([]string, error) {
	var all []string
	for _, dir := range []string{"services", "checks", filepath.Join("checks", "state")} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() {
				all = append(all, filepath.Join(s.dir, dir, e.Name()))
			}
		}
	}
	return all, nil
}

var errIncomplete = errors.New("the file lacks what a registration needs")

func load[T any](ring *atrest.Ring, path string, valid func(*T) bool) (*T, error) {
	content, err := ring.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(content, v); err != nil {
		return nil, err
	}
	if !valid(v) {
		return nil, errIncomplete
	}
	return v, nil
}

// damaged is the ending of files that could not be read.
const damaged = ".damaged"

func (s *store) setAside(path string, reason error) {
	s.log.Warn("set a damaged file aside; what it held is not registered", "file", path, "kept_as", path+damaged, "error", reason)
	if err := os.Rename(path, path+damaged); err != nil {
		s.log.Warn("failed to set a damaged file aside", "file", path, "error", err)
	}
}

func (f *serviceFile) valid() bool { return f.Service != nil && f.Service.Name != "" }

func (f *checkFile) valid() bool {
	return f.Check != nil && f.ChkType != nil && f.Check.CheckID != "" && f.Check.Name != ""
}

func (f *stateFile) valid() bool { return f.CheckID != "" }
