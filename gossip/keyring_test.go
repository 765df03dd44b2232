package gossip

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	keyA = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
	keyB = "hm2NM4IGdKeyTKzJOUYCPsgKjHGQDGcU4lYUmlyOYeE="
)

func encrypted(key, dir string) func(*Config) {
	return func(c *Config) { c.Encryption.Key, c.DataDir = key, dir }
}

func TestKeyringOperations(t *testing.T) {
	dir := t.TempDir()
	simulate(t, func(s *sim) {
		s.start(1, encrypted(keyA, dir))
		b := s.start(2, encrypted(keyA, ""))
		s.join(b, 1)
		time.Sleep(2 * time.Second)
		ctx, none := context.Background(), KeyOptions{}
		report, err := b.InstallKey(ctx, keyB, none)
		if err != nil || report.NumResp != 2 {
			t.Fatal(report, err)
		}
		if report, err = b.ListKeys(ctx, KeyOptions{RelayFactor: 1}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{keyA: 2, keyB: 2}, report.Keys); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]int{keyA: 2}, report.PrimaryKeys); diff != "" {
			t.Error(diff)
		}
		if _, err = b.UseKey(ctx, keyB, none); err != nil {
			t.Fatal(err)
		}
		report, err = b.RemoveKey(ctx, keyB, none)
		if err == nil || err.Error() != "2/2 nodes reported failure" ||
			report.Messages["node1"] != "Removing the primary key is not allowed" {
			t.Error(report, err)
		}
		if _, err = b.RemoveKey(ctx, keyA, none); err != nil {
			t.Fatal(err)
		}
		report, err = b.UseKey(ctx, keyA, none)
		if err == nil || report.Messages["node2"] != "Requested key is not in the keyring" {
			t.Error(report, err)
		}
		if _, err = b.InstallKey(ctx, "short", none); err == nil || err.Error() != "illegal base64 data at input byte 4" {
			t.Error(err)
		}
		if _, err = b.InstallKey(ctx, "YWI=", none); err == nil {
			t.Error("a key of two bytes was installed")
		}
	})
	ring, err := readKeyring(filepath.Join(dir, "serf", "local.keyring"))
	if err != nil || len(ring) != 1 {
		t.Fatal(ring, err)
	}
	if want, _ := ParseKey(keyB); string(ring[0]) != string(want) {
		t.Error("the file does not hold the new key")
	}
}

func TestWrongKeyIsRefusedAndNotWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "serf", "local.keyring")
	simulate(t, func(s *sim) {
		a := s.start(1, encrypted(keyA, ""))
		for i, key := range []string{keyB, ""} {
			b := s.start(2+i, encrypted(key, dir))
			if n, err := b.Join(context.Background(), []string{simAddr(1).String()}); n != 0 || err == nil {
				t.Errorf("key %q joined %d", key, n)
			}
			time.Sleep(5 * time.Second)
			if alive(a) != 1 || alive(b) != 1 {
				t.Errorf("members %d and %d", alive(a), alive(b))
			}
			b.Stop()
			if _, err := os.Stat(file); err == nil {
				t.Error("an unproved key is on disk")
			}
		}
		right := s.start(9, encrypted(keyA, dir))
		s.join(right, 1)
		time.Sleep(time.Second)
		right.Stop()
	})
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal("the proved key is not on disk:", info, err)
	}
	cfg := simConfig(9)
	encrypted("", dir)(&cfg)
	if p, err := New(cfg); err != nil || !p.Encrypted() {
		t.Error("the file alone does not encrypt:", err)
	}
}

// A loss of power after an operation may leave anything of a file that was written in place. Whoever still runs makes it
// whole.
func TestKeyringFileIsMadeWhole(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "serf", "local.keyring")
	simulate(t, func(s *sim) {
		s.start(1, encrypted(keyA, dir))
		b := s.start(2, encrypted(keyA, ""))
		time.Sleep(2 * settleInterval)
		if _, err := os.Stat(file); err == nil {
			t.Error("an unproved key is on disk")
		}
		s.join(b, 1)
		time.Sleep(2 * settleInterval)
		if _, err := b.InstallKey(context.Background(), keyB, KeyOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, 10); err != nil {
			t.Fatal(err)
		}
		s.until(time.Minute, "the file is whole", func() bool {
			ring, err := readKeyring(file)
			return err == nil && len(ring) == 2
		})
	})
}

func TestFounderSavesItsKey(t *testing.T) {
	dir := t.TempDir()
	simulate(t, func(s *sim) {
		p := s.start(1, encrypted(keyA, dir))
		for range 2 {
			if err := p.SaveKeyring(); err != nil {
				t.Fatal(err)
			}
		}
		off := s.start(2, func(c *Config) {
			encrypted(keyA, t.TempDir())(c)
			c.Encryption.DisableFile = true
		})
		if err := off.SaveKeyring(); err != nil || off.cfg.keyringPath() != "" {
			t.Error("disable_keyring_file:", err)
		}
	})
	if ring, err := readKeyring(filepath.Join(dir, "serf", "local.keyring")); err != nil || len(ring) != 1 {
		t.Error(ring, err)
	}
}

func TestBrokenKeyringFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "serf", "local.keyring")
	os.MkdirAll(filepath.Dir(file), 0o755)
	for _, content := range []string{"", "{", "[]", `["short"]`, `["YWI="]`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := simConfig(1)
		encrypted(keyA, dir)(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
