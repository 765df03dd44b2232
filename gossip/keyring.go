package gossip

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/hashicorp/serf/serf"
)

// MaxRelayFactor is the most copies of an answer that a keyring operation may ask for.
const MaxRelayFactor = 5

// Complaints of members that API clients see.
const (
	TextPrimaryKey = "Removing the primary key is not allowed"
	TextUnknownKey = "Requested key is not in the keyring"
)

// KeyringReport is what the members of a pool answered to a keyring operation.
type KeyringReport struct {
	// Keys and PrimaryKeys count, by the base64 form of a key, the members that hold it, and hold it as primary.
	Keys        map[string]int
	PrimaryKeys map[string]int
	// Messages holds, by member name, what a member complained of.
	Messages map[string]string
	NumNodes int
	NumResp  int
	NumErr   int
}

// KeyOptions are the options of a keyring operation.
type KeyOptions struct {
	// RelayFactor is how many other members relay each answer, 0 to MaxRelayFactor.
	RelayFactor uint8
}

// keyOperation is one of the operations of serf's key manager.
type keyOperation func(*serf.KeyManager, *serf.KeyRequestOptions) (*serf.KeyResponse, error)

// Encrypted reports whether the pool has a keyring.
func (p *Pool) Encrypted() bool { return p.keys.ring != nil }

// PrimaryKey is the key that the pool encrypts with, in base64; "" if it does not encrypt.
func (p *Pool) PrimaryKey() string {
	if p.keys.ring == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(p.keys.ring.GetPrimaryKey())
}

// SaveKeyring writes the keyring to its file now, instead of when another member has proved it. An agent that founds a
// cluster calls it, having nobody to prove it.
func (p *Pool) SaveKeyring() error { return p.keys.save() }

// ListKeys asks all members for their keys.
func (p *Pool) ListKeys(ctx context.Context, opts KeyOptions) (KeyringReport, error) {
	return p.operate(ctx, opts, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.ListKeysWithOptions(o)
	})
}

// InstallKey gives all members one more key. The error, as those of the other operations, has the text that operators
// see and the report what each member said; both are returned.
func (p *Pool) InstallKey(ctx context.Context, key string, opts KeyOptions) (KeyringReport, error) {
	return p.operate(ctx, opts, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.InstallKeyWithOptions(key, o)
	})
}

// UseKey makes a key the one that all members encrypt with. It is refused while some members do not hold the key, or do
// not answer: the others would shut them out.
func (p *Pool) UseKey(ctx context.Context, key string, opts KeyOptions) (KeyringReport, error) {
	if held, err := p.ListKeys(ctx, opts); held.some(held.Keys[key]) {
		return held, held.refusal("not all members hold the key: install it first", held.Keys[key], err)
	}
	return p.operate(ctx, opts, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.UseKeyWithOptions(key, o)
	})
}

// RemoveKey takes a key, which must not be the primary one, from all members. It is refused while some members, but not
// all, encrypt with it or do not answer: the others would shut them out.
func (p *Pool) RemoveKey(ctx context.Context, key string, opts KeyOptions) (KeyringReport, error) {
	if used, err := p.ListKeys(ctx, opts); used.some(used.PrimaryKeys[key]) {
		return used, used.refusal("some members encrypt with the key: use another one first", used.PrimaryKeys[key], err)
	}
	return p.operate(ctx, opts, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.RemoveKeyWithOptions(key, o)
	})
}

// some reports whether n is not none of the members, and not all.
func (r *KeyringReport) some(n int) bool { return n > 0 && n < r.NumNodes }

// refusal words why an operation is not carried out; n members have the key in question.
func (r *KeyringReport) refusal(why string, n int, err error) error {
	if err != nil {
		return fmt.Errorf("%s (%d of %d do; %w)", why, n, r.NumNodes, err)
	}
	return fmt.Errorf("%s (%d of %d do)", why, n, r.NumNodes)
}

func (p *Pool) operate(ctx context.Context, opts KeyOptions, op keyOperation) (KeyringReport, error) {
	s, err := p.running()
	if err != nil {
		return KeyringReport{}, err
	}
	var report KeyringReport
	done := make(chan KeyringReport, 1)
	err = p.await(ctx, func() error {
		resp, err := op(s.KeyManager(), &serf.KeyRequestOptions{RelayFactor: opts.RelayFactor})
		done <- reportOf(resp)
		return err
	})
	select {
	case report = <-done:
	default:
	}
	return report, err
}

// clientText returns what operators see for a member's complaint: the library below words these two with a small
// letter, API clients know them with a capital.
func clientText(complaint string) string {
	switch complaint {
	case "removing the primary key is not allowed":
		return TextPrimaryKey
	case "requested key is not in the keyring":
		return TextUnknownKey
	}
	return complaint
}

func reportOf(r *serf.KeyResponse) KeyringReport {
	if r == nil {
		return KeyringReport{}
	}
	for name, text := range r.Messages {
		r.Messages[name] = clientText(text)
	}
	return KeyringReport{
		Keys: r.Keys, PrimaryKeys: r.PrimaryKeys, Messages: r.Messages,
		NumNodes: r.NumNodes, NumResp: r.NumResp, NumErr: r.NumErr,
	}
}
