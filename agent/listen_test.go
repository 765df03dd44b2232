package agent

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lictor/config"
)

// TestUnixSocketOfAnother leaves a socket alone on which somebody listens.
func TestUnixSocketOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.sock")
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	a := &Agent{cfg: config.Default()}
	if l, err := a.listen(config.Listen{Network: "unix", Address: path}); !errors.Is(err, unix.EADDRINUSE) {
		l.Close()
		t.Fatalf("got %v, want that the address is in use", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal("the other's socket is gone:", err)
	}
	conn.Close()
}
