package config

import (
	"log/slog"
	"strings"
	"time"
)

// Log is what is logged, and where to.
type Log struct {
	Level          string        `config:"log_level" debug:"LogLevel"`                     // trace, debug, info, warn or error
	JSON           bool          `config:"log_json" debug:"LogJSON"`                       // write each message as a JSON object
	File           string        `config:"log_file" debug:"LogFilePath"`                   // file to log to; a path that ends with a slash is a directory
	RotateDuration time.Duration `config:"log_rotate_duration" debug:"LogRotateDuration"`  // age at which the file is rotated
	RotateBytes    int           `config:"log_rotate_bytes" debug:"LogRotateBytes"`        // size at which the file is rotated; 0 means never
	RotateMaxFiles int           `config:"log_rotate_max_files" debug:"LogRotateMaxFiles"` // rotated files that are kept; 0 means all, -1 none
	Syslog         bool          `config:"enable_syslog" debug:"EnableSyslog"`             // log to syslog, too
	Facility       string        `config:"syslog_facility" debug:"SyslogFacility"`         // facility of messages in syslog
}

func defaultLog() Log {
	return Log{Level: "INFO", RotateDuration: day, Facility: "LOCAL0"}
}

// Trace is the level of messages below slog.LevelDebug.
const Trace = slog.LevelDebug - 4

// ParseLevel reads the name of a log level, in any case.
func ParseLevel(name string) (slog.Level, bool) {
	switch strings.ToLower(name) {
	case "trace":
		return Trace, true
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "err", "error":
		return slog.LevelError, true
	}
	return 0, false
}

func (l *Log) check(r *report) {
	if _, ok := ParseLevel(l.Level); !ok {
		r.refuse("log_level", "is %q, but must be one of: trace, debug, info, warn, error", l.Level)
	}
	l.Level = strings.ToUpper(l.Level)
	r.positive("log_rotate_duration", l.RotateDuration)
	atLeast(r, "log_rotate_bytes", l.RotateBytes, 0)
	atLeast(r, "log_rotate_max_files", l.RotateMaxFiles, -1)
	facilities := strings.Fields(`KERN USER MAIL DAEMON AUTH SYSLOG LPR NEWS UUCP CRON AUTHPRIV FTP
		LOCAL0 LOCAL1 LOCAL2 LOCAL3 LOCAL4 LOCAL5 LOCAL6 LOCAL7`)
	r.oneOf("syslog_facility", strings.ToUpper(l.Facility), facilities...)
}
