//go:build crash

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// system runs a program that lays out or mounts file systems.
func system(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// smallDisk mounts a file system of this size until the test ends.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("to mount needs root")
	}
	dir := t.TempDir()
	system(t, "mount", "-t", "tmpfs", "-o", "mode=0700,size="+size, "lictor-crash", dir)
	t.Cleanup(func() { system(t, "umount", dir) })
	return dir
}

// A brokenDisk is a file system on a loop device on a small one. When the small one is full, write still succeeds, and fsync
// fails, as the pages of a disk that breaks are lost behind the writer's back.
type brokenDisk struct{ below, dir, device string }

func newBrokenDisk(t *testing.T) brokenDisk {
	t.Helper()
	b := brokenDisk{below: smallDisk(t, "24m"), dir: t.TempDir()}
	image := filepath.Join(b.below, "image")
	system(t, "truncate", "-s", "200m", image)
	system(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "512", "-J", "size=4", image)
	keepRecords(t, image)
	b.device = system(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { system(t, "losetup", "--detach", b.device) })
	// The kernel takes a write to the small one that is cut short for a success. One page at a time is not cut.
	limit := filepath.Join("/sys/block", filepath.Base(b.device), "queue/max_sectors_kb")
	if err := os.WriteFile(limit, []byte("4"), 0o600); err != nil {
		t.Skip(err)
	}
	b.mount(t)
	t.Cleanup(func() { system(t, "umount", b.dir) })
	return b
}

// keepRecords takes the room for all that a file system keeps of its own, such as its journal, so that what is lost are the
// pages of files alone. One that loses its own records may give one block to two files: nobody could keep anything on it.
func keepRecords(t *testing.T, image string) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	free := map[int]bool{} // blocks
	for line := range strings.Lines(system(t, "dumpe2fs", image)) {
		ranges, ok := strings.CutPrefix(strings.TrimSpace(line), "Free blocks: ")
		for r := range strings.SplitSeq(ranges, ", ") {
			var first, last int
			if n, _ := fmt.Sscanf(r, "%d-%d", &first, &last); !ok || n == 0 {
				continue
			}
			for b := first; b <= max(first, last); b++ {
				free[b] = true
			}
		}
	}
	if len(free) == 0 {
		t.Fatal("dumpe2fs names no free block")
	}
	block := make([]byte, 4096)
	for b := 0; ; b++ {
		_, err := f.ReadAt(block, int64(b)*int64(len(block)))
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && !free[b] {
			_, err = f.WriteAt(block, int64(b)*int64(len(block)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (b brokenDisk) mount(t *testing.T) {
	t.Helper()
	system(t, "mount", "-o", "errors=continue", b.device, b.dir)
}

// fillUp takes all room that is left in a directory, again and again until ctx ends.
func fillUp(ctx context.Context, t *testing.T, dir string) {
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	block := make([]byte, 4096)
	for ctx.Err() == nil {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			time.Sleep(time.Millisecond)
		} else if err != nil {
			t.Error(err)
			return
		}
	}
}

func makeRoom(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Error(err)
	}
}

// TestLeaderWhoseFsyncFails lets the leader's fsync fail under load. Afterwards the pages that the kernel took for written are
// thrown away, and the server has to be started with what really is on its disk.
func TestLeaderWhoseFsyncFails(t *testing.T) {
	disks := map[string]brokenDisk{}
	var dirs []string
	for range 3 {
		b := newBrokenDisk(t)
		disks[b.dir] = b
		dirs = append(dirs, b.dir)
	}
	all := newTrio(t, dirs...)
	l := depose(t, all, func(s *server) string { return disks[s.dir].below }, func(s *server) {
		s.kill()
		system(t, "umount", s.dir)
		disks[s.dir].mount(t)
		s.start(t)
	})
	t.Logf("%d writes in %d keys", l.sent, len(l.pages))
}
