package logging_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/agent/logging"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// archives returns the rotated files of a directory, oldest first.
func archives(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "consul-[0-9]*.log"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func TestFileNames(t *testing.T) {
	for setting, want := range map[string]string{
		"logs/":      "logs/consul.log",
		"existing":   "existing/consul.log",
		"a/agent":    "a/agent.log",
		"agent.text": "agent.text",
	} {
		t.Run(setting, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "existing"), 0o755); err != nil {
				t.Fatal(err)
			}
			open(t, logging.Config{File: dir + "/" + setting}).Slog().Info("x")
			if got := read(t, filepath.Join(dir, want)); !strings.HasSuffix(got, "agent: x\n") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFileIsContinuedAfterRestart(t *testing.T) {
	dir := t.TempDir() + "/"
	for i := range 2 {
		l := open(t, logging.Config{File: dir})
		l.Slog().Info("start", "n", i)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l.Slog().Info("after the end")
	}
	if got := read(t, dir+"consul.log"); strings.Count(got, "\n") != 2 || !strings.Contains(got, "n=0") {
		t.Errorf("got %q", got)
	}
}

func TestRotationBySize(t *testing.T) {
	for _, c := range []struct{ keep, want int }{{0, 9}, {3, 3}, {-1, 0}} {
		t.Run(fmt.Sprint(c.keep), func(t *testing.T) {
			dir := t.TempDir()
			unrelated := filepath.Join(dir, "consul-notes.log")
			if err := os.WriteFile(unrelated, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			log := open(t, logging.Config{File: dir + "/", RotateBytes: 100, RotateMaxFiles: c.keep}).Slog()
			for i := range 10 {
				log.Info(strings.Repeat("x", 60), "n", i)
			}
			old := archives(t, dir)
			if len(old) != c.want {
				t.Errorf("%d rotated files: %v", len(old), old)
			}
			for i, path := range old {
				if got, want := read(t, path), fmt.Sprintf("n=%d\n", 9-c.want+i); !strings.HasSuffix(got, want) {
					t.Errorf("%s holds %q, not %q", path, got, want)
				}
			}
			if got := read(t, filepath.Join(dir, "consul.log")); !strings.HasSuffix(got, "n=9\n") {
				t.Errorf("the newest lines are not in consul.log: %q", got)
			}
			if _, err := os.Stat(unrelated); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRotationByAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := open(t, logging.Config{File: dir + "/", RotateDuration: time.Hour}).Slog()
		log.Info("first")
		time.Sleep(59 * time.Minute)
		log.Info("second")
		if got := archives(t, dir); len(got) != 0 {
			t.Errorf("too early: %v", got)
		}
		time.Sleep(time.Minute)
		log.Info("third")
	})
	old := archives(t, dir)
	if len(old) != 1 || strings.Count(read(t, old[0]), "\n") != 2 {
		t.Errorf("rotated: %v", old)
	}
	if got := read(t, filepath.Join(dir, "consul.log")); strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}

func TestFileThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.log")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logging.New(logging.Config{File: file + "/logs/"}); err == nil || !strings.HasPrefix(err.Error(), "log file: ") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownFacility(t *testing.T) {
	_, err := logging.New(logging.Config{Syslog: true, SyslogFacility: "LOCAL9"})
	if err == nil || !strings.HasPrefix(err.Error(), `unknown syslog facility "LOCAL9": must be one of KERN, `) {
		t.Errorf("got %v", err)
	}
}

func next(t *testing.T, s *logging.Subscription) string {
	t.Helper()
	select {
	case line := <-s.Lines():
		return string(line)
	default:
		return ""
	}
}

func TestSubscribersHaveLevelsOfTheirOwn(t *testing.T) {
	var out bytes.Buffer
	l := open(t, logging.Config{Level: "warn", Output: &out})
	log := l.Slog()
	debug, errs := l.Subscribe(slog.LevelDebug, true), l.Subscribe(slog.LevelError, false)
	log.Debug("fine", "k", "v")
	log.Log(t.Context(), logging.LevelTrace, "finer")
	if got := next(t, debug); !strings.HasPrefix(got, `{"@level":"debug","@message":"fine","@module":"agent","@timestamp":`) || !strings.HasSuffix(got, "\n") {
		t.Errorf("got %q", got)
	}
	log.Error("broken")
	if got := next(t, errs); !strings.HasSuffix(got, " [ERROR] agent: broken\n") {
		t.Errorf("got %q", got)
	}
	if got := next(t, debug); !strings.Contains(got, `"broken"`) || next(t, debug) != "" {
		t.Errorf("got %q", got)
	}
	if got := out.String(); strings.Contains(got, "fine") || !strings.Contains(got, "broken") {
		t.Errorf("output %q", got)
	}
	if !log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is off while somebody wants it")
	}
	debug.Close()
	debug.Close()
	errs.Close()
	if log.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("info is on although nobody wants it")
	}
	log.Error("unheard")
	if got := next(t, errs); got != "" {
		t.Errorf("after the end: %q", got)
	}
}

func TestSlowSubscriberLosesLinesAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, logging.Config{})
		s := l.Subscribe(slog.LevelInfo, false)
		defer s.Close()
		for i := range 600 {
			l.Slog().Info("x", "n", i)
		}
		if s.Dropped() != 600-512 {
			t.Errorf("dropped %d", s.Dropped())
		}
		for range 512 {
			<-s.Lines()
		}
		go func() {
			time.Sleep(time.Second)
			l.Slog().Info("later")
		}()
		if got := string(<-s.Lines()); !strings.HasSuffix(got, "later\n") {
			t.Errorf("got %q", got)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	var out bytes.Buffer
	l := open(t, logging.Config{Output: &out, File: t.TempDir() + "/", RotateBytes: 2000, RotateMaxFiles: 2})
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			s := l.Subscribe(slog.LevelDebug, i%2 == 0)
			defer s.Close()
			for range 200 {
				l.Slog().With("who", i).Info("x")
				l.SetLevel(slog.LevelInfo)
			}
		})
	}
	wait.Wait()
	if got := strings.Count(out.String(), "[INFO]  agent: x: who="); got != 800 {
		t.Errorf("%d lines", got)
	}
}

type brokenOutput struct{}

func (brokenOutput) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOneBrokenOutputDoesNotSilenceTheOthers(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logging.Config{Output: brokenOutput{}, File: dir + "/"})
	err := l.Slog().Handler().Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, "x", 0))
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if got := read(t, filepath.Join(dir, "consul.log")); !strings.HasSuffix(got, "agent: x\n") {
		t.Errorf("got %q", got)
	}
}
