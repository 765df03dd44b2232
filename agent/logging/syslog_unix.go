//go:build !windows && !plan9

package logging

import (
	"fmt"
	"log/slog"
	"log/syslog"
)

// syslogWriter sends lines with the priority of their level. The standard library connects again when it has to.
type syslogWriter struct{ *syslog.Writer }

func dialSyslog(facility string) (priorityWriter, error) {
	code, err := facilityCode(facility)
	if err != nil {
		return nil, err
	}
	w, err := syslog.New(syslog.Priority(code<<3)|syslog.LOG_INFO, syslogTag)
	if err != nil {
		return nil, fmt.Errorf("no syslog daemon answers on this host (its socket is mostly /dev/log): %w", err)
	}
	return syslogWriter{w}, nil
}

func (w syslogWriter) write(level slog.Level, line []byte) error {
	text := string(line)
	switch LevelName(level) {
	case "trace", "debug":
		return w.Debug(text)
	case "info":
		return w.Info(text)
	case "warn":
		return w.Warning(text)
	}
	return w.Err(text)
}
