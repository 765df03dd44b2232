package logging

import (
	"io/fs"
	"log/slog"
	"time"
)

// FileConfig says how a File is written.
type FileConfig struct {
	Path     string        // the file itself; what is not a regular file, such as /dev/stdout, is never rotated
	Mode     fs.FileMode   // of files that are made
	MaxBytes int64         // the size at which it is rotated; 0 means any size
	MaxAge   time.Duration // the age at which it is rotated; 0 means 24 hours
	Keep     int           // how many rotated files are kept; 0 means all
}

// A File takes lines of another log than the agent's, and rotates as that one does. It is for one goroutine at a time.
type File struct{ rotated *rotated }

// OpenFile continues a file or begins one, and makes its directory. Close closes it.
func OpenFile(c FileConfig) (*File, error) {
	r := &rotated{path: c.Path, mode: c.Mode, maxBytes: c.MaxBytes, maxAge: c.MaxAge, keep: c.Keep}
	if err := r.begin(0o700); err != nil {
		return nil, err
	}
	return &File{r}, nil
}

// Write appends a line. If it fails, as little as the disk allows is left of the line, and the next call opens the file again:
// a disk that was full for a while costs no start.
func (f *File) Write(line []byte) error {
	r := f.rotated
	err := r.write(line)
	if err != nil && r.file != nil {
		if !r.whole && r.torn > 0 {
			_ = r.file.Truncate(r.size - r.torn)
		}
		_ = r.close() // what is wrong has been told
	}
	return err
}

// Close closes the file.
func (f *File) Close() error { return f.rotated.close() }

// Syslog takes lines of another log than the agent's, at the level info.
type Syslog struct{ to priorityWriter }

// OpenSyslog connects to the local syslog; an empty facility means LOCAL0.
func OpenSyslog(facility string) (*Syslog, error) {
	to, err := dialSyslog(facility)
	if err != nil {
		return nil, err
	}
	return &Syslog{to}, nil
}

// Write sends a line.
func (s *Syslog) Write(line []byte) error { return s.to.write(slog.LevelInfo, line) }

// Close ends the connection.
func (s *Syslog) Close() error { return s.to.Close() }
