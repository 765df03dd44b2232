package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lictor/durable"
)

// A Directory keeps archives as files, which nobody but their owner may read. It must exist.
type Directory string

// Put implements Store: the archive is written beside, synced and renamed.
func (d Directory) Put(ctx context.Context, name string, write func(io.Writer) error) (size int64, err error) {
	d.tidy(name)
	file, err := os.CreateTemp(string(d), name+".tmp-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	err = write(file)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		size, err = file.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	return size, d.Rename(ctx, filepath.Base(file.Name()), name)
}

// tidy removes what an end in the middle of Put has left of the same cluster's archives.
func (d Directory) tidy(name string) {
	stem := name
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		stem = name[:i+1]
	}
	entries, _ := os.ReadDir(string(d)) // who cannot read it cannot write it, and Put tells
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stem) && strings.Contains(e.Name(), nameSuffix+".tmp-") {
			_ = os.Remove(d.path(e.Name()))
		}
	}
}

func (d Directory) path(name string) string { return filepath.Join(string(d), name) }

// Open implements Store.
func (d Directory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(d.path(name))
}

// List implements Store.
func (d Directory) List(_ context.Context, prefix string) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list the archives: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Rename implements Store.
func (d Directory) Rename(_ context.Context, from, to string) error {
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		return err
	}
	return durable.SyncDir(string(d))
}

// Remove implements Store.
func (d Directory) Remove(_ context.Context, name string) error { return os.Remove(d.path(name)) }
