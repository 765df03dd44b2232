//go:build !windows && !plan9

package logging

import (
	"log/slog"
	"log/syslog"
	"net"
	"regexp"
	"testing"
	"time"
)

func TestSyslogPriorities(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	code, err := facilityCode("")
	if err != nil {
		t.Fatal(err)
	}
	w, err := syslog.Dial("udp", conn.LocalAddr().String(), syslog.Priority(code<<3)|syslog.LOG_INFO, syslogTag)
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Level: "trace"})
	if err != nil {
		t.Fatal(err)
	}
	l.sys = syslogWriter{w}
	buf := make([]byte, 2048)
	for level, want := range map[slog.Level]string{ // 16<<3 and the severity
		LevelTrace:      `^<135>.* consul\[\d+\]: \[TRACE\] agent: x: k=v\n$`,
		slog.LevelInfo:  `^<134>.* consul\[\d+\]: \[INFO\]  agent: x: k=v\n$`,
		slog.LevelWarn:  `^<132>.* consul\[\d+\]: \[WARN\]  agent: x: k=v\n$`,
		slog.LevelError: `^<131>.* consul\[\d+\]: \[ERROR\] agent: x: k=v\n$`,
	} {
		l.Slog().Log(t.Context(), level, "x", "k", "v")
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(buf[:n]) {
			t.Errorf("got %q, want %s", buf[:n], want)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestFacilities(t *testing.T) {
	for name, want := range map[string]syslog.Priority{"": syslog.LOG_LOCAL0, "local7": syslog.LOG_LOCAL7, "DAEMON": syslog.LOG_DAEMON, "AUTHPRIV": syslog.LOG_AUTHPRIV} {
		if code, err := facilityCode(name); err != nil || syslog.Priority(code<<3) != want {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
}
