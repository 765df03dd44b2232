package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lictor/acl"
	"lictor/atrest"
	"lictor/ca"
	"lictor/certs"
	"lictor/claims"
	"lictor/config"
	"lictor/durable"
	"lictor/gossip"
	"lictor/rpc"
)

// With auto_config a client agent needs a token that introduces it and the address of a server, and gets from that its
// settings, the key of gossip among them, and a certificate. It keeps them, so that it can start again while no server
// is there.

// An introduced agent's keeping, as it is on its disk.
type introduced struct {
	Settings json.RawMessage // configuration
	Cert     string          // PEM, as all below
	Key      string
	Roots    []string
}

const (
	introducedFile = "auto-config.json"
	// introductionTime bounds the wait for an introduction at the start.
	introductionTime = time.Minute
)

// introduce gets this agent its settings, from its disk or from a server, before anything else is opened.
func (a *Agent) introduce() error {
	if !a.cfg.Auto.Config.Enabled {
		return nil
	}
	var err error
	if a.certs, err = certs.Open(certsConfig(a.cfg)); err != nil {
		return err
	}
	kept, err := a.keptIntroduction()
	var missing *atrest.MissingKey
	if errors.As(err, &missing) {
		return err
	}
	if err != nil {
		a.log.Info("auto_config: this agent introduces itself to the servers", "reason", err)
		ctx, cancel := context.WithTimeout(a.ctx, introductionTime)
		defer cancel()
		if kept, err = a.introduceUntil(ctx); err != nil {
			return fmt.Errorf("auto_config: %w", err)
		}
	}
	return a.adopt(kept)
}

// adopt puts settings and certificate in use.
func (a *Agent) adopt(in *introduced) error {
	granted, err := in.granted()
	if err != nil {
		return fmt.Errorf("auto_config: %w", err)
	}
	a.given = string(in.Settings)
	loaded, err := a.load()
	if err != nil {
		return fmt.Errorf("auto_config: the settings that were given: %w", err)
	}
	a.cfg = loaded.Config
	a.current.Store(loaded.Config)
	a.described.Store(&loaded.Config.Node)
	a.certs.Grant(granted)
	return nil
}

// load reads the configuration, with what servers have given below all else.
func (a *Agent) load() (*config.Loaded, error) {
	loaded, err := a.Load()
	if err != nil || a.given == "" {
		return loaded, err
	}
	return loaded.Under(a.given)
}

func (in *introduced) granted() (*certs.Granted, error) {
	return granted(&ca.Signed{Cert: in.Cert, Roots: in.Roots}, []byte(in.Key))
}

// keptIntroduction reads what was given before, if that is still of use.
func (a *Agent) keptIntroduction() (*introduced, error) {
	if a.dataDir() == "" {
		return nil, errors.New("nothing is kept")
	}
	text, err := a.atRest.ReadFile(filepath.Join(a.dataDir(), introducedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it has not done so before")
	}
	if err != nil {
		return nil, err
	}
	in := new(introduced)
	if err := json.Unmarshal(text, in); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", introducedFile, err)
	}
	g, err := in.granted()
	if err == nil && time.Now().After(g.Pair.Leaf.NotAfter) {
		err = errors.New("its certificate has expired")
	}
	return in, err
}

// introduceUntil asks the servers in turn until one answers or ctx ends.
func (a *Agent) introduceUntil(ctx context.Context) (*introduced, error) {
	pool := a.strangerPool()
	defer pool.Stop()
	for again := askAgainMin; ; again = min(2*again, askAgainMax) {
		in, err := a.introduceOnce(ctx, pool)
		if err == nil {
			return in, nil
		}
		a.log.Warn("auto_config: no server has introduced this agent", "error", err)
		if !pause(ctx, again) {
			return nil, fmt.Errorf("no server has introduced this agent within %s: %w", introductionTime, err)
		}
	}
}

// introduceOnce asks each server once.
func (a *Agent) introduceOnce(ctx context.Context, pool *rpc.Pool) (*introduced, error) {
	token, err := a.introToken()
	if err != nil {
		return nil, err
	}
	c := &a.cfg.Auto.Config
	csr, key, err := a.certRequest(c.DNSSANs, c.IPSANs)
	if err != nil {
		return nil, err
	}
	ask := &ca.Introduce{Node: a.cfg.Node.Name, Datacenter: a.cfg.Node.Datacenter, JWT: token, CSR: string(csr)}
	args, err := rpc.Append(nil, ask)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, server := range c.Servers {
		in, err := a.introduceAt(ctx, pool, serverAddress(server, a.cfg.Network.Ports.Server), args)
		if err == nil {
			in.Key = string(key)
			return in, a.keep(in)
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
	}
	return nil, errors.Join(errs...)
}

// serverAddress adds the usual port to an address that has none.
func serverAddress(text string, port int) string {
	if _, _, err := net.SplitHostPort(text); err == nil {
		return text
	}
	return net.JoinHostPort(strings.Trim(text, "[]"), strconv.Itoa(port))
}

func (a *Agent) introduceAt(ctx context.Context, pool *rpc.Pool, address string, args []byte) (*introduced, error) {
	reply, err := pool.Call(ctx, rpc.Target{Address: address}, rpc.Header{}, ca.IntroduceMethod.Name, args)
	if err != nil {
		return nil, err
	}
	var answer *ca.Introduction
	if err := rpc.Decode(reply, &answer); err != nil {
		return nil, err
	}
	if answer == nil || answer.Signed == nil {
		return nil, errors.New("the answer holds no certificate")
	}
	return &introduced{Settings: json.RawMessage(answer.Settings), Cert: answer.Signed.Cert, Roots: answer.Signed.Roots}, nil
}

// introToken is the token that introduces this agent.
func (a *Agent) introToken() (string, error) {
	c := &a.cfg.Auto.Config
	if c.IntroToken != "" {
		return c.IntroToken, nil
	}
	text, err := os.ReadFile(c.IntroFile)
	if err != nil {
		return "", fmt.Errorf("intro_token_file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// keep writes what was given to the disk.
func (a *Agent) keep(in *introduced) error {
	if a.dataDir() == "" {
		return nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode what was given: %w", err)
	}
	path := filepath.Join(a.dataDir(), introducedFile)
	a.introduction.Lock()
	defer a.introduction.Unlock()
	return durable.Replace(path, a.atRest.Seal(path, text), 0o600)
}

// renewIntroduction introduces this agent again in time, for its next certificate, until it stops. New settings are in force
// where a reload can put them in force.
func (a *Agent) renewIntroduction(pool *rpc.Pool) {
	for wait := renewal(a.certs.Granted().Pair.Leaf, time.Now()); pause(a.ctx, wait); {
		in, err := a.introduceOnce(a.ctx, pool)
		var next *certs.Granted
		if err == nil {
			next, err = in.granted()
		}
		if err != nil {
			a.log.Warn("auto_config: no server has introduced this agent again", "error", err)
			wait = askAgainMax
			continue
		}
		wait = renewal(next.Pair.Leaf, next.Pair.Leaf.NotBefore)
		a.certs.Grant(next)
		a.reload.Lock()
		a.given = string(in.Settings)
		a.reload.Unlock()
		a.ReloadNow()
	}
}

// An introducer introduces client agents, on a server.
type introducer struct {
	agent   *Agent
	checker *claims.Checker // nil: the server introduces nobody
}

// staticKeys are the keys below auto_config.authorization.static that say what the fields of a claims.Config do.
var staticKeys = map[string]string{
	"JWTValidationPubKeys": "jwt_validation_pub_keys", "JWTSupportedAlgs": "jwt_supported_algs", "JWKSURL": "jwks_url", "JWKSCACert": "jwks_ca_cert",
	"OIDCDiscoveryURL": "oidc_discovery_url", "OIDCDiscoveryCACert": "oidc_discovery_ca_cert",
	"ClaimMappings": "claim_mappings", "ListClaimMappings": "list_claim_mappings", "Assertions": "claim_assertions",
}

// newIntroducer reads how those who introduce themselves are checked.
func (a *Agent) newIntroducer() (*introducer, error) {
	c := &a.cfg.Auto.Config.Authorization
	if !c.Enabled {
		return &introducer{agent: a}, nil
	}
	s := &c.Static
	accepted := claims.Config{JWTValidationPubKeys: s.Keys, JWKSURL: s.JWKSURL, JWKSCACert: s.JWKSCA, OIDCDiscoveryURL: s.DiscoveryURL, OIDCDiscoveryCACert: s.DiscoveryCA,
		BoundIssuer: s.Issuer, BoundAudiences: s.Audiences, JWTSupportedAlgs: s.Algorithms, ClaimMappings: s.Mappings, ListClaimMappings: s.ListMappings, Assertions: s.Assertions,
		ExpirationLeeway: claims.Duration(s.Leeways.Expiration), NotBeforeLeeway: claims.Duration(s.Leeways.NotBefore), ClockSkewLeeway: claims.Duration(s.Leeways.ClockSkew)}
	if len(s.Algorithms) == 0 {
		accepted.JWTSupportedAlgs = []string{"RS256"}
	}
	checker, err := claims.New(accepted, claims.Keys{})
	var wrong *claims.ConfigError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("auto_config.authorization.static.%s: %w", staticKeys[wrong.Field], err)
	}
	if err != nil {
		return nil, err
	}
	return &introducer{agent: a, checker: checker}, nil
}

// What those are told who are not introduced. Why is for the log alone: they may be anybody.
var (
	errNoHost      = rpc.Errorf(rpc.NotImplemented, "this server introduces nobody: auto_config.authorization.enabled is not set")
	errNotAdmitted = rpc.Errorf(rpc.PermissionDenied, "Permission denied: the token does not introduce this agent")
)

// introduce answers IntroduceMethod. The token in the request says who may ask, whatever ACLs say.
func (h *introducer) introduce(ctx context.Context, _ acl.Authorizer, q *ca.Introduce) (*ca.Introduction, error) {
	a := h.agent
	if h.checker == nil {
		return nil, errNoHost
	}
	if q.Datacenter != a.cfg.Node.Datacenter {
		return nil, rpc.Errorf(rpc.Invalid, "this server is of datacenter %q, not of %q", a.cfg.Node.Datacenter, q.Datacenter)
	}
	if !config.ValidNode(q.Node) || q.Segment != "" || q.Partition != "" && q.Partition != "default" {
		return nil, rpc.Errorf(rpc.Invalid, "the name of the node may have letters, digits, dots, dashes and underscores, and there are no segments and partitions")
	}
	if _, err := h.checker.Check(ctx, q.JWT, map[string]string{"node": q.Node, "segment": q.Segment, "partition": q.Partition}); err != nil {
		a.log.Warn("auto_config: an agent was not introduced", "node", q.Node, "error", err)
		return nil, errNotAdmitted
	}
	signed, err := a.server.services.signer.SignFor(&ca.SignRequest{Node: q.Node, CSR: q.CSR})
	if err != nil {
		return nil, err
	}
	settings, err := a.settingsFor(q.Node)
	if err != nil {
		return nil, err
	}
	a.log.Info("auto_config: an agent was introduced", "node", q.Node)
	return &ca.Introduction{Settings: settings, Signed: signed}, nil
}

// settingsFor is the configuration that a client agent gets.
func (a *Agent) settingsFor(node string) (string, error) {
	c := a.current.Load()
	rpcTLS := &c.TLS.InternalRPC
	var join []string
	for _, m := range a.lan.Members() {
		if m.Ours && m.Meta.Server && m.Status == gossip.StatusAlive {
			join = append(join, m.AddrPort().String())
		}
	}
	secure := map[string]any{"verify_outgoing": rpcTLS.VerifyOutgoing, "verify_server_hostname": rpcTLS.VerifyName}
	if rpcTLS.MinVersion != "" {
		secure["tls_min_version"] = rpcTLS.MinVersion
	}
	if rpcTLS.CipherSuites != "" {
		secure["tls_cipher_suites"] = rpcTLS.CipherSuites
	}
	settings := map[string]any{
		"datacenter": c.Node.Datacenter, "node_name": node, "retry_join": join,
		"encrypt_verify_incoming": c.Gossip.VerifyIncoming, "encrypt_verify_outgoing": c.Gossip.VerifyOutgoing,
		"tls": map[string]any{"internal_rpc": secure},
		"acl": map[string]any{"enabled": c.ACL.Enabled, "default_policy": c.ACL.DefaultPolicy, "down_policy": c.ACL.DownPolicy,
			"policy_ttl": c.ACL.PolicyTTL.String(), "role_ttl": c.ACL.RoleTTL.String(), "token_ttl": c.ACL.TokenTTL.String()},
	}
	if key := a.lan.PrimaryKey(); key != "" {
		settings["encrypt"] = key
	}
	if c.Federate.Primary != "" {
		settings["primary_datacenter"] = c.Federate.Primary
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("encode the settings of a client agent: %w", err)
	}
	return string(text), nil
}

// strangerPool calls servers as who has no certificate yet.
func (a *Agent) strangerPool() *rpc.Pool {
	return rpc.NewPool(rpc.PoolConfig{Log: a.log.With("module", "agent.rpc"), Sentinels: sentinels, Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) {
		return a.dialSecure(ctx, t.Address, a.certs.OutgoingStranger(), true)
	}})
}
