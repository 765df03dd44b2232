package config

import (
	"os"
	"strings"

	"lictor/catalog"
)

// Node is who this agent is and what it keeps.
type Node struct {
	Name              string            `config:"node_name" debug:"NodeName"`                                    // name of this node; by default the host's name
	ID                string            `config:"node_id" debug:"NodeID"`                                        // UUID of this node; by default made once and kept in data_dir
	Meta              map[string]string `config:"node_meta" debug:"NodeMeta"`                                    // labels of this node in the catalog
	Datacenter        string            `config:"datacenter" debug:"Datacenter"`                                 // datacenter that this agent belongs to
	DataDir           string            `config:"data_dir" debug:"DataDir"`                                      // directory of all that outlives the process; needed except with -dev
	PIDFile           string            `config:"pid_file" debug:"PidFile"`                                      // file to write the process id to
	Locality          *catalog.Locality `config:"locality" debug:"Locality"`                                     // region and zone that this node runs in
	AutoReload        bool              `config:"auto_reload_config" debug:"AutoReloadConfig"`                   // reload when a configuration file changes
	DisableHostID     bool              `config:"disable_host_node_id" debug:"DisableHostNodeID"`                // do not derive the node id from the host
	DisableKeyring    bool              `config:"disable_keyring_file" debug:"DisableKeyringFile"`               // keep gossip keys in memory only
	DisableUpdates    bool              `config:"disable_update_check" debug:"DisableUpdateCheck"`               // accepted; there is no update check
	DisableSignature  bool              `config:"disable_anonymous_signature" debug:"DisableAnonymousSignature"` // accepted; there is no update check
	DisableRemoteExec bool              `config:"disable_remote_exec" debug:"DisableRemoteExec"`                 // refuse remote execution
	Experiments       []string          `config:"experiments" debug:"Experiments"`                               // experimental features to turn on
	DevMode           bool              `config:"-" debug:"DevMode"`                                             // whether this is -dev: nothing is kept on disk
}

func defaultNode() Node {
	return Node{Datacenter: "dc1", DisableHostID: true, DisableRemoteExec: true}
}

// Limits of node metadata.
const (
	maxMetaPairs = 64
	maxMetaKey   = 128
	maxMetaValue = 512
)

func (n *Node) check(r *report) {
	n.Datacenter = strings.ToLower(n.Datacenter)
	r.matches("datacenter", n.Datacenter, `^[a-z0-9_-]{1,64}$`, "1 to 64 letters, digits, dashes and underscores")
	n.ID = strings.ToLower(n.ID)
	if n.ID != "" {
		r.matches("node_id", n.ID, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, "a UUID such as \"3fa85f64-5717-4562-b3fc-2c963f66afa6\"")
	}
	n.checkName(r)
	n.checkMeta(r)
	if n.DataDir == "" && !n.DevMode {
		r.refuse("data_dir", "must be set, except with -dev")
	}
	if info, err := os.Stat(n.DataDir); n.DataDir != "" && err == nil && !info.IsDir() {
		r.refuse("data_dir", "is %q, which is not a directory", n.DataDir)
	}
}

func (n *Node) checkName(r *report) {
	switch {
	case strings.TrimSpace(n.Name) == "":
		r.refuse("node_name", "must not be empty")
	case len(n.Name) > 63:
		r.warn("node_name %q is longer than 63 characters: the node cannot be found by DNS", n.Name)
	case !onlyOf(n.Name, "-"):
		r.warn("node_name %q holds other characters than letters, digits and dashes: the node cannot be found by DNS", n.Name)
	}
}

func (n *Node) checkMeta(r *report) {
	if len(n.Meta) > maxMetaPairs {
		r.refuse("node_meta", "holds %d pairs, but at most %d are allowed", len(n.Meta), maxMetaPairs)
	}
	for key, content := range n.Meta {
		at := "node_meta." + key
		switch {
		case !onlyOf(key, "_-"):
			r.refuse(at, "the key %q must be of letters, digits, dashes and underscores", key)
		case len(key) > maxMetaKey:
			r.refuse(at, "the key is longer than %d characters", maxMetaKey)
		case strings.HasPrefix(strings.ToLower(key), "consul-"):
			r.refuse(at, "keys that start with \"consul-\" are reserved")
		case len(content) > maxMetaValue:
			r.refuse(at, "the value is longer than %d characters", maxMetaValue)
		}
	}
}
