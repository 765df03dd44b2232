package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"lictor/agent/local"
	"lictor/atrest"
	"lictor/config"
	"lictor/durable"
	"lictor/rpc"
)

// ownTokens are the tokens that the agent itself acts with: those of the configuration, and over them what has been set
// over the API.
type ownTokens struct {
	current atomic.Pointer[map[string]string]
	keep    string // file in which those that are set over the API are kept; "" keeps none
	atRest  *atrest.Ring

	mu     sync.Mutex        // guards what follows, and replacing current
	files  map[string]string // of the configuration
	posted map[string]string // set over the API
}

// The tokens, by the names that the API has for them.
const (
	tokenDefault     = "default"
	tokenAgent       = "agent"
	tokenRecovery    = "agent_recovery"
	tokenReplication = "replication"
	tokenConfigFile  = "config_file_service_registration"
	tokenDNS         = "dns"
)

// tokenNames are the names by which the API takes tokens, with older ones.
var tokenNames = map[string]string{
	tokenDefault: tokenDefault, "acl_token": tokenDefault,
	tokenAgent: tokenAgent, "acl_agent_token": tokenAgent,
	tokenRecovery: tokenRecovery, "agent_master": tokenRecovery, "acl_agent_master_token": tokenRecovery,
	tokenReplication: tokenReplication, "acl_replication_token": tokenReplication,
	tokenConfigFile: tokenConfigFile, tokenDNS: tokenDNS,
}

// openSecrets reads what the configuration and the data directory have.
func (a *Agent) openSecrets() error {
	s := &a.secrets
	s.atRest = &a.atRest
	if dir := a.dataDir(); dir != "" && a.cfg.ACL.Persistence {
		s.keep = filepath.Join(dir, "acl-tokens.json")
		text, err := s.atRest.ReadFile(s.keep)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read the tokens that were set over the API: %w", err)
		}
		if len(text) > 0 {
			if err := json.Unmarshal(text, &s.posted); err != nil {
				return fmt.Errorf("%s does not hold tokens: %w; remove it, and set them again", s.keep, err)
			}
		}
	}
	s.configure(&a.cfg.ACL.Tokens)
	return nil
}

// configure takes what the configuration says, at the start and at each reload.
func (s *ownTokens) configure(t *config.Tokens) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = map[string]string{tokenDefault: t.Default, tokenAgent: t.Agent, tokenRecovery: t.AgentRecovery,
		tokenReplication: t.Replication, tokenConfigFile: t.ConfigFile, tokenDNS: t.DNS}
	s.publish()
}

// publish makes what is to be used of both. The caller holds s.mu.
func (s *ownTokens) publish() {
	all := map[string]string{}
	for name, value := range s.files {
		all[name] = value
	}
	for name, value := range s.posted {
		all[name] = value
	}
	s.current.Store(&all)
}

// get is one of the tokens; "" if there is none.
func (s *ownTokens) get(name string) string {
	if all := s.current.Load(); all != nil {
		return (*all)[name]
	}
	return ""
}

// set takes a token that comes over the API, and keeps it if the configuration says so.
func (s *ownTokens) set(name, value string) error {
	known, ok := tokenNames[name]
	if !ok {
		return rpc.Errorf(rpc.NotFound, "Token %q is unknown", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	posted := map[string]string{known: value}
	for other, v := range s.posted {
		if other != known {
			posted[other] = v
		}
	}
	if s.keep != "" {
		text, err := json.Marshal(posted)
		if err == nil {
			err = durable.Replace(s.keep, s.atRest.Seal(s.keep, text), 0o600)
		}
		if err != nil {
			return fmt.Errorf("keep the token: %w", err)
		}
	}
	s.posted = posted
	s.publish()
	return nil
}

// reseal brings the file under the key that writes now.
func (s *ownTokens) reseal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keep == "" {
		return nil
	}
	if err := s.atRest.Reseal(s.keep); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// dns is the token of DNS questions.
func (s *ownTokens) dns() string {
	if t := s.get(tokenDNS); t != "" {
		return t
	}
	return s.get(tokenDefault)
}

// local are the tokens that registrations are written with.
func (s *ownTokens) local() local.Tokens {
	return local.Tokens{Agent: s.get(tokenAgent), Default: s.get(tokenDefault), ConfigFile: s.get(tokenConfigFile)}
}

// setToken takes a token over the API, and tries again what may have failed for want of it.
func (a *Agent) setToken(name, value string) error {
	if err := a.secrets.set(name, value); err != nil {
		return err
	}
	a.local.ServersChanged()
	return nil
}
