// Package ca keeps the built-in certificate authority: its roots, in the replicated state, and how the first one is
// made. It knows X.509 and the SPIFFE trust domain; it knows nothing of who is given a certificate.
package ca

import (
	"time"

	"lictor/state"
)

//msgp:timezone utc
//go:generate go tool msgp -o ca_gen.go -tests=false -io=false

// A Root is a root certificate, as clients see it and as it is stored. Its private key is kept apart, in Authority.
type Root struct {
	ID                  string // the certificate's SHA-1, in hex with colons
	Name                string
	SerialNumber        uint64
	SigningKeyID        string // of the key that signs leaves: its SHA-256, in hex with colons
	ExternalTrustDomain string // the cluster's id
	NotBefore           time.Time
	NotAfter            time.Time
	RootCert            string   // PEM
	IntermediateCerts   []string `msg:"IntermediateCerts,allownil"` // PEM
	Active              bool     // leaves are signed under it
	PrivateKeyType      string   // "ec"
	PrivateKeyBits      int
	CreateIndex         uint64
	ModifyIndex         uint64
}

// An Authority is what the authority must keep to itself. There is one row of it.
type Authority struct {
	ClusterID   string // the trust domain is ClusterID.consul
	Provider    string // "consul": keys in the replicated state
	PrivateKey  string // of the active root, PEM (SEC 1)
	CreateIndex uint64
	ModifyIndex uint64
}

// The tables.
var (
	RootTable      = state.NewTable("connect-ca-roots", func(r *Root) string { return state.Key(r.ID) })
	AuthorityTable = state.NewTable("connect-ca-authority", func(*Authority) string { return state.Key("authority") })
)

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{RootTable, AuthorityTable, SettingsTable} }

// An Initialize stores the first root, unless there is one already.
type Initialize struct {
	Root      Root
	Authority Authority
}

// Apply answers whether it stored the root.
func (i *Initialize) Apply(tx *state.Tx) (any, error) {
	for range RootTable.All(tx) {
		return false, nil
	}
	root, authority := i.Root, i.Authority
	root.CreateIndex, root.ModifyIndex = tx.Index(), tx.Index()
	authority.CreateIndex, authority.ModifyIndex = tx.Index(), tx.Index()
	RootTable.Insert(tx, &root)
	AuthorityTable.Insert(tx, &authority)
	return true, nil
}

// Keep copies the roots and the authority from one state to another, for a cluster whose state is replaced by one that
// was saved without them.
func Keep(from, to *state.Tx) {
	for r := range RootTable.All(from) {
		RootTable.Insert(to, r)
	}
	for a := range AuthorityTable.All(from) {
		AuthorityTable.Insert(to, a)
	}
	for s := range SettingsTable.All(from) {
		SettingsTable.Insert(to, s)
	}
}
