//go:build crash

package crash

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

const (
	million   = 1_000_000
	valueSize = 100 // bytes
	// mostMemory is how much memory a server may have while it saves or restores, in multiples of its live data.
	mostMemory = 2.5
)

// TestMillionKeys restores a million keys from an archive as Consul saves them, saves them, and restores what was saved, and then
// Consul's archive, over them; it looks at the server's memory meanwhile.
func TestMillionKeys(t *testing.T) {
	s := newServer(t)
	s.debug = true
	s.client.Timeout = 5 * time.Minute
	s.start(t)
	t.Cleanup(s.kill)
	if _, err := s.ready(time.Now()); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "consul.snap")
	consulArchive(t, saved)
	restore := func(name string) func() {
		return func() {
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			s.transfer(t, http.MethodPut, file, io.Discard)
		}
	}
	s.measured(t, "import", restore(saved))
	live := s.live(t)
	ours := filepath.Join(t.TempDir(), "ours.snap")
	for _, step := range []struct {
		name string
		do   func()
	}{{"save", func() {
		file, err := os.Create(ours)
		if err != nil {
			t.Fatal(err)
		}
		s.transfer(t, http.MethodGet, nil, file)
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}}, {"restore", restore(ours)}, {"import over them", restore(saved)}} {
		peak := s.measured(t, step.name, step.do)
		t.Logf("%s: at most %d MiB resident, %d MiB live: %.2f", step.name, peak>>20, live>>20, float64(peak)/float64(live))
		if float64(peak) > mostMemory*float64(live) {
			t.Errorf("%s takes more than %.1f times the live data", step.name, mostMemory)
		}
	}
	if again := s.live(t); float64(again) > 1.2*float64(live) {
		t.Errorf("%d bytes are live after the restore, %d before", again, live)
	}
}

// measured does something and gives the most memory that was resident meanwhile, in bytes.
func (s *server) measured(t *testing.T, name string, do func()) int64 {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil { // the peak counts from here
		t.Fatal(err)
	}
	begun := time.Now()
	do()
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatal("no VmHWM")
	}
	peak, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %v, at most %d MiB resident", name, time.Since(begun).Round(time.Millisecond), peak>>10)
	return peak << 10
}

// live is how much the heap holds after a collection, in bytes.
func (s *server) live(t *testing.T) int64 {
	t.Helper()
	res, err := s.client.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap?gc=1&debug=1", s.ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`# HeapAlloc = (\d+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no figures: %.200s", text)
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *server) transfer(t *testing.T, method string, body io.Reader, to io.Writer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d/v1/snapshot", s.ports[0]), body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %s %s", method, res.Status, text)
	}
	if _, err := io.Copy(to, res.Body); err != nil {
		t.Fatal(err)
	}
}

// consulArchive writes an archive of keys in the form that Consul gives it.
func consulArchive(t *testing.T, name string) {
	t.Helper()
	state, err := os.Create(filepath.Join(t.TempDir(), "state.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	buffered := bufio.NewWriter(state)
	row := msgp.AppendUint64(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "LastIndex"), million+9)
	value := string(bytes.Repeat([]byte("v"), valueSize))
	for i := range million {
		if _, err := buffered.Write(row); err != nil {
			t.Fatal(err)
		}
		row = msgp.AppendMapHeader(append(row[:0], 2), 4)
		row = msgp.AppendString(msgp.AppendString(row, "Key"), fmt.Sprintf("app/%03d/key-%d", i%1000, i))
		row = msgp.AppendString(msgp.AppendString(row, "Value"), value)
		row = msgp.AppendUint64(msgp.AppendString(row, "CreateIndex"), uint64(i+9))
		row = msgp.AppendUint64(msgp.AppendString(row, "ModifyIndex"), uint64(i+9))
	}
	if _, err := buffered.Write(row); err != nil {
		t.Fatal(err)
	}
	if err := buffered.Flush(); err != nil {
		t.Fatal(err)
	}
	size, err := state.Seek(0, io.SeekCurrent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	sums := ""
	add := func(name string, size int64, from io.Reader) {
		sum := sha256.New()
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.MultiWriter(w, sum), from); err != nil {
			t.Fatal(err)
		}
		sums += fmt.Sprintf("%x  %s\n", sum.Sum(nil), name)
	}
	meta := fmt.Sprintf(`{"Version":1,"ID":"2-%[1]d-1","Index":%[1]d,"Term":2,"Size":%[2]d}`, million+9, size)
	add("meta.json", int64(len(meta)), bytes.NewReader([]byte(meta)))
	add("state.bin", size, state)
	listed := sums
	add("SHA256SUMS", int64(len(listed)), bytes.NewReader([]byte(listed)))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}
