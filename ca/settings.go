package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//msgp:timezone utc
//msgp:ignore form
//go:generate go tool msgp -o settings_gen.go -tests=false -io=false

// The methods about the authority's settings, for operators who may write.
var (
	SettingsMethod    = rpc.Method[struct{}, *Settings]{Name: "ConnectCA.ConfigurationGet"}
	SetSettingsMethod = rpc.Method[Change, bool]{Name: "ConnectCA.ConfigurationSet"}
)

// Settings are how the authority is configured. They hold no key. There is one row of them, or none where nothing was changed.
type Settings struct {
	LeafTTL, IntermediateTTL, RootTTL time.Duration
	State                             map[string]string `msg:"State,allownil"` // kept for the clients that give it
	CreateIndex, ModifyIndex          uint64
}

// SettingsTable is the table of settings.
var SettingsTable = state.NewTable("connect-ca-settings", func(*Settings) string { return state.Key("settings") })

// The bounds of settings, Consul's.
const (
	intermediateTTL = 8760 * time.Hour
	shortestLeaf    = time.Hour
	longestLeaf     = 8760 * time.Hour
	maxRoots        = 16
)

// settings are those in force.
func settings(tx *state.Tx) *Settings {
	if s := SettingsTable.Get(tx, state.Key("settings")); s != nil {
		return s
	}
	s := &Settings{LeafTTL: leafTTL, IntermediateTTL: intermediateTTL, RootTTL: rootTTL}
	if a := AuthorityTable.Get(tx, state.Key("authority")); a != nil {
		s.CreateIndex, s.ModifyIndex = a.CreateIndex, a.ModifyIndex
	}
	return s
}

// hours writes a duration in whole hours as such.
func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// MarshalJSON writes the settings as clients see them.
func (s *Settings) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Provider                 string
		Config                   map[string]string
		State                    map[string]string
		ForceWithoutCrossSigning bool
		CreateIndex, ModifyIndex uint64
	}{"consul", map[string]string{"LeafCertTTL": hours(s.LeafTTL), "IntermediateCertTTL": hours(s.IntermediateTTL), "RootCertTTL": hours(s.RootTTL)},
		s.State, false, s.CreateIndex, s.ModifyIndex})
}

// A Change is what an operator asks for: all settings, of which those that are left out get their defaults. Config is JSON.
type Change struct {
	Provider string
	Config   string
}

// A Reconfigure stores settings, and with a Root makes that the active one.
type Reconfigure struct {
	Settings Settings
	Root     *Root `msg:"Root,allownil"`
	Key      string
}

// Apply answers whether it did. It fails, and has changed nothing, if there is no authority yet.
func (c *Reconfigure) Apply(tx *state.Tx) (any, error) {
	authority := AuthorityTable.Get(tx, state.Key("authority"))
	if authority == nil {
		return nil, errNoAuthority
	}
	s := c.Settings
	s.CreateIndex, s.ModifyIndex = authority.CreateIndex, tx.Index()
	SettingsTable.Insert(tx, &s)
	if c.Root == nil {
		return true, nil
	}
	for _, old := range slices.Collect(RootTable.All(tx)) {
		if old.Active && old.ID != c.Root.ID {
			passive := *old
			passive.Active, passive.ModifyIndex = false, tx.Index()
			RootTable.Insert(tx, &passive)
		}
	}
	root, changed := *c.Root, *authority
	root.CreateIndex, root.ModifyIndex, changed.ModifyIndex, changed.PrivateKey = tx.Index(), tx.Index(), tx.Index(), c.Key
	RootTable.Insert(tx, &root)
	AuthorityTable.Insert(tx, &changed)
	return true, nil
}

var errNoAuthority = rpc.Errorf(rpc.NoLeader, "there is no certificate authority yet: try again later")

// Settings answers SettingsMethod.
func (s *Service) Settings(ctx context.Context, az acl.Authorizer, _ *struct{}) (*Settings, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Write); err != nil {
		return nil, err
	}
	if !s.Enabled {
		return nil, ErrDisabled
	}
	if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	return settings(s.Log.DB().Read().Unwatched()), nil
}

// SetSettings answers SetSettingsMethod.
func (s *Service) SetSettings(ctx context.Context, az acl.Authorizer, c *Change) (bool, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Write); err != nil {
		return false, err
	}
	if !s.Enabled {
		return false, ErrDisabled
	}
	if c.Provider != "consul" {
		return false, rpc.Errorf(rpc.Internal, "could not initialize provider: unknown CA provider %q", c.Provider)
	}
	form, err := readConfig(c.Config)
	if err != nil {
		return false, rpc.Errorf(rpc.Internal, "error configuring provider: %v", err)
	}
	change := &Reconfigure{Settings: form.Settings}
	if form.key != "" || form.cert != "" {
		if change.Root, err = s.nextRoot(form); err != nil {
			return false, rpc.Errorf(rpc.Internal, "error configuring provider: %v", err)
		}
		if change.Root != nil {
			change.Key = form.key
		}
	}
	_, err = s.Log.Apply(ctx, change)
	return err == nil, err
}

// A form is what an operator has sent.
type form struct {
	Settings
	key, cert string // PEM
}

func readConfig(text string) (*form, error) {
	f := &form{Settings: Settings{LeafTTL: leafTTL, IntermediateTTL: intermediateTTL, RootTTL: rootTTL}}
	fields := map[string]json.RawMessage{}
	if text != "" && text != "null" {
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return nil, fmt.Errorf("Config: %w", err)
		}
	}
	for name, value := range fields {
		var err error
		switch strings.ToLower(strings.ReplaceAll(name, "_", "")) {
		case "leafcertttl":
			f.LeafTTL, err = readTTL(value)
		case "intermediatecertttl":
			f.IntermediateTTL, err = readTTL(value)
		case "rootcertttl":
			f.RootTTL, err = readTTL(value)
		case "teststate":
			err = json.Unmarshal(value, &f.State)
		case "privatekey":
			err = json.Unmarshal(value, &f.key)
		case "rootcert":
			err = json.Unmarshal(value, &f.cert)
		}
		if err != nil {
			return nil, fmt.Errorf("Config.%s: %w", name, err)
		}
	}
	switch {
	case f.LeafTTL < shortestLeaf:
		return nil, fmt.Errorf("leaf cert TTL must be greater or equal than %s", shortestLeaf)
	case f.LeafTTL > longestLeaf:
		return nil, fmt.Errorf("leaf cert TTL must be less than %s", longestLeaf)
	case f.IntermediateTTL < 3*f.LeafTTL:
		return nil, fmt.Errorf("Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL (>=%s).", 3*f.LeafTTL)
	case f.RootTTL <= f.IntermediateTTL:
		return nil, fmt.Errorf("root cert TTL is set and is not greater than intermediate cert ttl. root cert ttl: %s, intermediate cert ttl: %s", f.RootTTL, f.IntermediateTTL)
	}
	return f, nil
}

// readTTL reads text such as 72h, or a number of nanoseconds.
func readTTL(value json.RawMessage) (time.Duration, error) {
	if !bytes.HasPrefix(value, []byte(`"`)) {
		var n float64
		err := json.Unmarshal(value, &n)
		return time.Duration(n), err
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}

// nextRoot makes the root of a key and certificate that an operator brings, signed across by the root before it; nil if it is
// the active one.
func (s *Service) nextRoot(f *form) (*Root, error) {
	if f.key == "" || f.cert == "" {
		return nil, fmt.Errorf("PrivateKey and RootCert must be given together")
	}
	tx := s.Log.DB().Read().Unwatched()
	authority := AuthorityTable.Get(tx, state.Key("authority"))
	roots := slices.Collect(RootTable.All(tx))
	at := slices.IndexFunc(roots, func(r *Root) bool { return r.Active })
	if authority == nil || at < 0 {
		return nil, errNoAuthority
	}
	pair, err := tls.X509KeyPair([]byte(f.cert), []byte(f.key))
	if err != nil {
		return nil, fmt.Errorf("PrivateKey and RootCert: %w", err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("RootCert: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	switch now := time.Now(); {
	case !ok || key.Params().BitSize < 256:
		return nil, fmt.Errorf("PrivateKey must be ECDSA of 256 bits or more")
	case !cert.IsCA || cert.CheckSignatureFrom(cert) != nil:
		return nil, fmt.Errorf("RootCert must be the certificate of an authority, signed by itself")
	case now.After(cert.NotAfter) || now.Add(backdated).Before(cert.NotBefore):
		return nil, fmt.Errorf("RootCert must be valid now, and is from %s to %s", cert.NotBefore, cert.NotAfter)
	case len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://"+TrustDomain(authority.ClusterID):
		return nil, fmt.Errorf("RootCert must have the one URI spiffe://%s", TrustDomain(authority.ClusterID))
	}
	id := sha1.Sum(cert.Raw)
	if roots[at].ID == colons(id[:]) {
		return nil, nil
	}
	if len(roots) >= maxRoots {
		return nil, fmt.Errorf("there are %d roots, more than %d are not kept", len(roots), maxRoots)
	}
	across, err := crossSign(cert, roots[at], authority)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	keyID := sha256.Sum256(der)
	return &Root{
		ID: colons(id[:]), Name: "Consul CA Primary Cert", SerialNumber: cert.SerialNumber.Uint64(), SigningKeyID: colons(keyID[:]),
		ExternalTrustDomain: authority.ClusterID, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		RootCert:          string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		IntermediateCerts: []string{across}, Active: true, PrivateKeyType: "ec", PrivateKeyBits: key.Params().BitSize,
	}, nil
}

// crossSign makes the certificate by which who trusts only the old root trusts what the new one signs, PEM.
func crossSign(next *x509.Certificate, old *Root, authority *Authority) (string, error) {
	signer, err := tls.X509KeyPair([]byte(old.RootCert), []byte(authority.PrivateKey))
	if err != nil {
		return "", fmt.Errorf("the authority's key: %w", err)
	}
	parent, err := x509.ParseCertificate(signer.Certificate[0])
	if err != nil {
		return "", fmt.Errorf("the authority's certificate: %w", err)
	}
	t := *next
	t.AuthorityKeyId = parent.SubjectKeyId
	if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	t.SignatureAlgorithm = x509.UnknownSignatureAlgorithm // of the old key
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return "", fmt.Errorf("choose a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, parent, next.PublicKey, signer.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("sign the new root with the old one: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
