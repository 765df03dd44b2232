package config

import (
	"path/filepath"
	"strings"
)

// AtRest is encryption of what is kept in data_dir: the log and the snapshots of servers, and of all agents what is registered
// and the tokens that were set over the API (Lictor's own).
type AtRest struct {
	KeyFile string `config:"key_file"` // file of keys, one a line, as lictor keygen prints them; the first writes, all read
	Enabled bool   `config:"enabled"`  // false writes plaintext, and still reads with the keys
}

func (c *AtRest) check(r *report, dataDir string) {
	if r.isSet("encryption_at_rest.enabled") && c.Enabled && c.KeyFile == "" {
		r.refuse("encryption_at_rest.enabled", "needs encryption_at_rest.key_file")
	}
	if c.KeyFile == "" || dataDir == "" {
		return
	}
	file, err := filepath.Abs(c.KeyFile)
	if err != nil {
		return
	}
	dir, err := filepath.Abs(dataDir)
	if err == nil && strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/") {
		r.refuse("encryption_at_rest.key_file", "is %q, which is in data_dir: keys must not lie beside what they protect", c.KeyFile)
	}
}
