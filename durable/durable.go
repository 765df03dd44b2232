// Package durable changes files such that a loss of power leaves the old content or the new one, and the new one once the
// change has been reported as done.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Temporary ends the names of files that Replace has not given their own yet. A process that is killed leaves one beside the
// file; whoever reads all files of a directory must leave these out, and may remove them.
const Temporary = ".tmp"

// Replace writes a file with this content and mode, or replaces the one that is there, as a whole or not at all. It blocks
// until both the content and the name are on the disk. After an error the old file is untouched, unless the error is that
// of the directory's fsync: then either may be found after a loss of power.
func Replace(path string, content []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*"+Temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// SyncDir blocks until the names in a directory are on the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
