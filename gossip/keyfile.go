package gossip

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"lictor/durable"
)

// ParseKey decodes the base64 form of a gossip key and checks that it has 16, 24 or 32 bytes.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("gossip key is not base64: %w", err)
	}
	if err := memberlist.ValidateKey(key); err != nil {
		return nil, fmt.Errorf("gossip key of %d bytes: %w", len(key), err)
	}
	return key, nil
}

// keys is the keyring of a pool and its file. A key that came from the configuration is not written before it has been
// proved by another member that uses it, or the agent vouches for it: a mistyped key must not outlive its correction.
type keys struct {
	ring *memberlist.Keyring // nil: not encrypted
	path string

	mu     sync.Mutex
	saved  bool
	onDisk os.FileInfo // of the file as settle has left it
}

// settleInterval is how often the keyring's file is looked at.
const settleInterval = time.Second

// openKeys reads the keyring file or, where there is none, takes the configured key.
func openKeys(cfg *Config, log *slog.Logger) (*keys, error) {
	k := &keys{path: cfg.keyringPath()}
	var configured []byte
	if cfg.Encryption.Key != "" {
		key, err := ParseKey(cfg.Encryption.Key)
		if err != nil {
			return nil, err
		}
		configured = key
	}
	stored, err := readKeyring(k.path)
	if err != nil {
		return nil, err
	}
	switch {
	case len(stored) > 0:
		k.saved = true
		k.ring, err = memberlist.NewKeyring(stored, stored[0])
		if configured != nil && !holds(stored, configured) {
			log.Warn("configured gossip key is not in the keyring file and is ignored", "file", k.path)
		}
	case configured != nil:
		k.ring, err = memberlist.NewKeyring(nil, configured)
	}
	if err != nil {
		return nil, fmt.Errorf("gossip keyring: %w", err)
	}
	return k, nil
}

func holds(ring [][]byte, key []byte) bool {
	for _, k := range ring {
		if string(k) == string(key) {
			return true
		}
	}
	return false
}

// readKeyring reads a JSON list of base64 keys, the primary first. A path that is empty or does not exist has none.
func readKeyring(path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read gossip keyring: %w", err)
	}
	var texts []string
	if err := json.Unmarshal(data, &texts); err != nil {
		return nil, fmt.Errorf("gossip keyring %s: %w", path, err)
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("gossip keyring %s holds no keys", path)
	}
	ring := make([][]byte, len(texts))
	for i, text := range texts {
		if ring[i], err = ParseKey(text); err != nil {
			return nil, fmt.Errorf("gossip keyring %s: key %d: %w", path, i+1, err)
		}
	}
	return ring, nil
}

// save writes the keyring unless it is on disk already.
func (k *keys) save() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.saved || k.ring == nil || k.path == "" {
		return nil
	}
	if _, err := os.Stat(k.path); err == nil {
		k.saved = true // an operation on the keyring made serf write it
		return nil
	}
	if err := writeKeyring(k.path, k.ring.GetKeys()); err != nil {
		return err
	}
	k.saved = true
	return nil
}

// keep settles the file until the context ends.
func (k *keys) keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := k.settle(); err != nil {
				log.Error("gossip keyring not saved", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle writes a file that has changed once more, as a whole and onto the disk. After an operation on the keyring serf
// writes it in place and leaves it to the kernel when: a loss of power then would leave an agent that cannot start.
func (k *keys) settle() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		info, err := os.Stat(k.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the key is not proved yet
		}
		if err != nil {
			return err
		}
		if old := k.onDisk; old != nil && os.SameFile(info, old) && info.ModTime().Equal(old.ModTime()) && info.Size() == old.Size() {
			return nil
		}
		ring := k.ring.GetKeys()
		if err := writeKeyring(k.path, ring); err != nil {
			return err
		}
		if info, err = os.Stat(k.path); err != nil {
			return err
		}
		// Serf changes the ring before the file. What it has written meanwhile may have been replaced with less.
		if slices.EqualFunc(ring, k.ring.GetKeys(), bytes.Equal) {
			k.onDisk = info
		}
	}
}

// writeKeyring replaces the file in one step.
func writeKeyring(path string, ring [][]byte) error {
	texts := make([]string, len(ring))
	for i, key := range ring {
		texts[i] = base64.StdEncoding.EncodeToString(key)
	}
	data, err := json.MarshalIndent(texts, "", "  ")
	if err != nil {
		return fmt.Errorf("encode gossip keyring: %w", err)
	}
	if err := durable.Replace(path, data, 0o600); err != nil {
		return fmt.Errorf("write gossip keyring: %w", err)
	}
	return nil
}
