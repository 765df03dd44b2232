package logging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultFileName is the file in a directory.
	defaultFileName = "consul.log"

	defaultRotateDuration = 24 * time.Hour

	fileMode      = 0o640
	directoryMode = 0o755
)

// rotated is a file that is renamed to name-<nanoseconds since 1970>.ext when it is too large or too old, and begun
// anew. Its owner's mutex guards it.
type rotated struct {
	path     string
	maxBytes int64
	maxAge   time.Duration
	keep     int
	mode     fs.FileMode

	file  *os.File
	size  int64
	begun time.Time
	whole bool  // not a regular file: it is never rotated
	torn  int64 // bytes that the last write has left of a line that it could not write whole
}

func openRotated(cfg Config) (*rotated, error) {
	r := &rotated{
		path:     filePath(cfg.File),
		maxBytes: int64(cfg.RotateBytes),
		maxAge:   cfg.RotateDuration,
		keep:     cfg.RotateMaxFiles,
		mode:     fileMode,
	}
	if err := r.begin(directoryMode); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return r, nil
}

// begin opens the file for the first time, and makes its directory. If it fails nothing is open.
func (r *rotated) begin(directory fs.FileMode) error {
	if r.maxAge <= 0 {
		r.maxAge = defaultRotateDuration
	}
	if err := os.MkdirAll(filepath.Dir(r.path), directory); err != nil {
		return err
	}
	if err := errors.Join(r.open(), r.prune()); err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

// filePath returns the file that a setting means.
func filePath(setting string) string {
	if info, err := os.Stat(setting); strings.HasSuffix(setting, "/") || (err == nil && info.IsDir()) {
		return filepath.Join(setting, defaultFileName)
	}
	if filepath.Ext(setting) == "" {
		return setting + ".log"
	}
	return setting
}

// open continues the file that is there, or begins one.
func (r *rotated) open() error {
	file, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, r.mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r.file, r.size, r.begun = file, info.Size(), time.Now()
	r.whole = !info.Mode().IsRegular()
	if r.size > 0 {
		r.begun = info.ModTime() // the file system does not tell when it was begun
	}
	return nil
}

func (r *rotated) write(line []byte) error {
	var problem error
	if r.due(len(line)) {
		problem = r.rotate()
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return errors.Join(problem, err)
		}
	}
	n, err := r.file.Write(line)
	r.size += int64(n)
	if r.torn = 0; err != nil {
		r.torn = int64(n)
	}
	return errors.Join(problem, err)
}

// due reports whether the file must be rotated before more bytes are written. An empty file never is.
func (r *rotated) due(more int) bool {
	if r.size == 0 || r.whole {
		return false
	}
	return (r.maxBytes > 0 && r.size+int64(more) > r.maxBytes) || time.Since(r.begun) >= r.maxAge
}

// rotate renames the file; the next write begins another. If it cannot be renamed it is continued.
func (r *rotated) rotate() error {
	err := r.close()
	prefix, ext := r.nameParts()
	return errors.Join(err, os.Rename(r.path, prefix+strconv.FormatInt(time.Now().UnixNano(), 10)+ext), r.prune())
}

func (r *rotated) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// nameParts returns what is before and after the time in the names of rotated files.
func (r *rotated) nameParts() (prefix, ext string) {
	ext = filepath.Ext(r.path)
	return strings.TrimSuffix(r.path, ext) + "-", ext
}

// prune removes the oldest rotated files beyond those to keep.
func (r *rotated) prune() error {
	if r.keep == 0 {
		return nil
	}
	old, err := r.archives()
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range old[:max(0, len(old)-max(0, r.keep))] {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// archives returns the rotated files, oldest first.
func (r *rotated) archives() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(r.path))
	if err != nil {
		return nil, err
	}
	prefix, ext := r.nameParts()
	base := filepath.Base(prefix)
	var stamps []int64
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		stamp, err := strconv.ParseInt(strings.TrimSuffix(rest, ext), 10, 64)
		if ok && err == nil && strings.HasSuffix(rest, ext) {
			stamps = append(stamps, stamp)
		}
	}
	slices.Sort(stamps)
	var paths []string
	for _, s := range stamps {
		paths = append(paths, prefix+strconv.FormatInt(s, 10)+ext)
	}
	return paths, nil
}
