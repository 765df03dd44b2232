package agent

import (
	"context"
	"crypto/subtle"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lictor/acl"
	"lictor/claims"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/state"
)

// aclDefaults are what holds where no rule speaks.
func (a *Agent) aclDefaults() acl.Defaults {
	return acl.Defaults{AllowAll: a.cfg.ACL.DefaultPolicy == "allow", KeyList: a.cfg.ACL.KeyListPolicy}
}

// resolver makes what finds what a token may do. On a server node has the state, on a client agent it is nil.
func (a *Agent) resolver(node *raftstore.Node) func(ctx context.Context, token string) (acl.Authorizer, error) {
	if !a.cfg.ACL.Enabled {
		return allowAll
	}
	hit, miss := a.metrics.Counter("acl.token.cache_hit"), a.metrics.Counter("acl.token.cache_miss")
	took := a.metrics.Sample("acl.ResolveToken")
	if node != nil {
		r := a.newResolver()
		r.DB, r.Context, r.Hit, r.Miss = node.DB, a.ctx, func() { hit.Add(1) }, func() { miss.Add(1) }
		there := a.elsewhere(func() { miss.Add(1) })
		return func(ctx context.Context, token string) (acl.Authorizer, error) {
			defer took.Since(time.Now())
			az, err := r.Resolve(token)
			if there != nil && unknownToken(err) {
				if known, ok := there.Heard(token); ok {
					return known, nil
				}
			}
			if unknownToken(err) && caughtUp(ctx, node) { // it may have been made a moment ago, at another server
				az, err = r.Resolve(token)
			}
			if there != nil && unknownToken(err) {
				return there.Resolve(ctx, token)
			}
			return az, err
		}
	}
	r := a.newRemote(func(ctx context.Context, token string) (*acl.Resolution, error) {
		miss.Add(1)
		return acl.ResolveMethod.Call(ctx, a.caller, rpc.Header{Token: token}, &struct{}{})
	})
	return func(ctx context.Context, token string) (acl.Authorizer, error) {
		defer took.Since(time.Now())
		return r.Resolve(ctx, token)
	}
}

// caughtUp waits until this server has applied what is committed by now, and tells whether it has.
func caughtUp(ctx context.Context, node *raftstore.Node) bool {
	ctx, cancel := context.WithTimeout(ctx, readIndexTimeout)
	defer cancel()
	_, err := node.Fresh(ctx, state.ReadOptions{})
	return err == nil
}

// captured makes what finds what a token may do that is not the asker's, in the state that an answer is made from; nil where
// there are no ACLs.
func (a *Agent) captured() func(*state.Tx, string) (acl.Authorizer, error) {
	if !a.cfg.ACL.Enabled {
		return nil
	}
	return a.newResolver().Within
}

// newResolver makes what finds what tokens may do by the state of a server.
func (a *Agent) newResolver() *acl.Resolver {
	secondary := a.primary() != ""
	return &acl.Resolver{Datacenter: a.cfg.Node.Datacenter, Defaults: a.aclDefaults(), Secondary: secondary, LocalOnly: secondary && !a.copiesTokens()}
}

// dnsRights makes what finds the rights of DNS questions; nil where there are no ACLs.
func (a *Agent) dnsRights() func(context.Context, string) (acl.Authorizer, error) {
	if !a.cfg.ACL.Enabled {
		return nil
	}
	return a.resolve
}

// resolveHere finds what a token may do that has come to this very agent: its recovery token is good here alone.
func (a *Agent) resolveHere(ctx context.Context, token string) (acl.Authorizer, error) {
	if recovery := a.secrets.get(tokenRecovery); recovery != "" && a.cfg.ACL.Enabled && subtle.ConstantTimeCompare([]byte(recovery), []byte(token)) == 1 {
		return acl.Recovery(a.cfg.Node.Name), nil
	}
	return a.resolve(ctx, token)
}

// allowAll finds what a token may do where there are no ACLs: everybody may do everything.
func allowAll(context.Context, string) (acl.Authorizer, error) { return acl.AllowAll(), nil }

// newAuthority makes what answers for ACLs on a server.
func (a *Agent) newAuthority(log state.Log) *acl.Authority {
	s := &acl.Authority{Log: log, Datacenter: a.cfg.Node.Datacenter, Enabled: a.cfg.ACL.Enabled, Defaults: a.aclDefaults(), NoBootstrap: a.cfg.ACL.MSPDisableBootstrap, Keys: claims.Remembering(),
		Primary: a.primary(), TokensCopied: a.copiesTokens()}
	if dir := a.dataDir(); dir != "" {
		path := filepath.Join(dir, "acl-bootstrap-reset")
		s.ResetIndex = func() uint64 {
			text, err := os.ReadFile(path)
			if err != nil {
				return 0
			}
			index, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
			if err != nil {
				a.log.Warn("the file does not hold the reset index that a refused bootstrap tells", "file", path)
			}
			return index
		}
		s.Forget = func() {
			a.noteReset(path)
			if err := os.Remove(path); err != nil {
				a.log.Warn("the file that allows one more bootstrap could not be removed", "file", path, "error", err)
			}
		}
	}
	return s
}
