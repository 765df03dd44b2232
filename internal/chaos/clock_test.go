//go:build chaos

package chaos

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A clock is the wall clock of one host, which may be wrong and may be set while processes run. The kernel has one for all
// namespaces, and a static program asks no library; so a program is built whose time.Now is wrong by what is in a file:
//
//	time.Now -> right() + seconds at the start of the file that LICTOR_CLOCK names, which the process maps
//
// Only the moment is wrong: the monotonic clock that time.Now adds to it, and all timers, go on as if nothing were.
type clock struct {
	program string
	file    string
}

const clockEnv = "LICTOR_CLOCK"

// wrongClock is added to package time.
const wrongClock = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var wrong = func() *atomic.Int64 {
	name, ok := syscall.Getenv("` + clockEnv + `")
	if !ok {
		return new(atomic.Int64)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("open " + name + ": " + err.Error())
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map " + name + ": " + err.Error())
	}
	return (*atomic.Int64)(unsafe.Pointer(&b[0]))
}()

// Now is the moment that the wrong clock shows.
func Now() Time {
	t := right()
	t.addSec(wrong.Load())
	return t
}
`

// buildWrong builds the program whose clocks may be wrong.
func buildWrong(t *testing.T) string {
	t.Helper()
	program, err := buildWrongIn(t.TempDir())
	if err != nil {
		t.Fatalf("build a program with a wrong clock: %v", err)
	}
	return program
}

func buildWrongIn(dir string) (program string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	const now = "\nfunc Now() Time {\n"
	if strings.Count(string(text), now) != 1 {
		return "", fmt.Errorf("%s: time.Now does not begin as it is expected to", source)
	}
	files := map[string]string{"time.go": strings.Replace(string(text), now, "\nfunc right() Time {\n", 1), "wrong.go": wrongClock}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, text := range files {
		overlay.Replace[filepath.Join(source, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "lictor")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./cmd/lictor")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
}

// newClock makes a clock that is wrong by some whole seconds. It is in a file, and can be seen by the program that buildWrong has built.
func newClock(t *testing.T, program, file string, wrong time.Duration) *clock {
	t.Helper()
	c := &clock{program, file}
	c.set(t, wrong)
	return c
}

// set sets the clock to be wrong by some whole seconds.
func (c *clock) set(t *testing.T, wrong time.Duration) {
	t.Helper()
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600) // not cut off: a process may have mapped it
	if err == nil {
		_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(wrong/time.Second))), 0)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// command is the program with this clock.
func (c *clock) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.program, args...)
	cmd.Env = append(os.Environ(), c.env())
	return cmd
}

func (c *clock) env() string { return clockEnv + "=" + c.file }

// A program with a wrong clock shows the moment that it is told, and another one when the clock is set.
func TestNetworkClock(t *testing.T) {
	c := newClock(t, buildWrong(t), filepath.Join(t.TempDir(), "clock"), 0)
	for _, wrong := range []time.Duration{0, 30 * time.Hour, -30 * time.Hour} {
		c.set(t, wrong)
		dir := t.TempDir()
		cmd := c.command("tls", "ca", "create")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		begin := readCert(t, filepath.Join(dir, "consul-agent-ca.pem")).NotBefore
		if off := time.Until(begin) - wrong; off > 0 || off < -3*time.Minute {
			t.Errorf("a certificate that is made now begins at %s, wrong by %s more than %s", begin, off, wrong)
		}
	}
}

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
