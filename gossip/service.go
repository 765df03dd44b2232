package gossip

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/rpc"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// KeyringMethod lists or changes the keys of the pools of a datacenter's servers and agents.
var KeyringMethod = rpc.Method[KeyringRequest, []KeyringAnswer]{Name: "Operator.Keyring", Anywhere: true, Repeatable: true}

// KeyringOperation is what a KeyringRequest asks for.
type KeyringOperation string

// The operations.
const (
	ListKeys   KeyringOperation = "list"
	InstallKey KeyringOperation = "install"
	UseKey     KeyringOperation = "use"
	RemoveKey  KeyringOperation = "remove"
)

// A KeyringRequest asks for an operation on the keyring of all members.
type KeyringRequest struct {
	Operation   KeyringOperation
	Key         string // in base64; "" when listing
	RelayFactor uint8  // 0 to MaxRelayFactor
	LocalOnly   bool   // only the LAN pool of this datacenter
}

// A KeyringAnswer is the keyring of one pool, as clients see it.
type KeyringAnswer struct {
	WAN         bool
	Datacenter  string
	Segment     string
	Messages    map[string]string `json:",omitempty" msg:"Messages,allownil"` // by the name of a member
	Keys        map[string]int    `msg:"Keys,allownil"`                       // how many members have a key
	PrimaryKeys map[string]int    `msg:"PrimaryKeys,allownil"`                // how many members encrypt with a key
	NumNodes    int
}

// A Service answers the package's methods on a server.
type Service struct {
	LAN, WAN   *Pool // WAN may be nil
	Datacenter string
}

// Keyring carries out an operation on one pool after the other, and answers what the pools have. The error holds what
// went wrong anywhere.
func (s *Service) Keyring(ctx context.Context, az acl.Authorizer, r *KeyringRequest) ([]KeyringAnswer, error) {
	access := acl.Write
	if r.Operation == ListKeys {
		access = acl.Read
	}
	if err := acl.Require(az, acl.Keyring, "", access); err != nil {
		return nil, err
	}
	var answers []KeyringAnswer
	var faults []string
	for _, p := range []*Pool{s.WAN, s.LAN} {
		if p == nil || r.LocalOnly && p.cfg.Kind == WAN {
			continue
		}
		report, err := p.change(ctx, r)
		if err != nil {
			faults = append(faults, s.faults(p, report, err)...)
		}
		answers = append(answers, KeyringAnswer{WAN: p.cfg.Kind == WAN, Datacenter: s.Datacenter, Messages: report.Messages,
			Keys: report.Keys, PrimaryKeys: report.PrimaryKeys, NumNodes: report.NumNodes})
	}
	if len(faults) > 0 {
		return nil, rpc.Errorf(rpc.Internal, "%s", list(faults))
	}
	return answers, nil
}

// change carries out the operation in this pool.
func (p *Pool) change(ctx context.Context, r *KeyringRequest) (KeyringReport, error) {
	opts := KeyOptions{RelayFactor: r.RelayFactor}
	switch r.Operation {
	case ListKeys:
		return p.ListKeys(ctx, opts)
	case InstallKey:
		return p.InstallKey(ctx, r.Key, opts)
	case UseKey:
		return p.UseKey(ctx, r.Key, opts)
	case RemoveKey:
		return p.RemoveKey(ctx, r.Key, opts)
	}
	return KeyringReport{}, rpc.Errorf(rpc.Invalid, "unknown keyring operation %q", r.Operation)
}

// faults words what went wrong in a pool: the whole first, then each member's complaint.
func (s *Service) faults(p *Pool, report KeyringReport, err error) []string {
	where := "WAN"
	if p.cfg.Kind == LAN {
		where = s.Datacenter + " (LAN)"
	}
	out := []string{fmt.Sprintf("%s error: %s", where, err)}
	for _, name := range slices.Sorted(maps.Keys(report.Messages)) {
		out = append(out, name+": "+report.Messages[name])
	}
	return out
}

// list words several faults as one error, in the form that Consul's clients know.
func list(faults []string) string {
	title := "1 error occurred"
	if len(faults) > 1 {
		title = fmt.Sprintf("%d errors occurred", len(faults))
	}
	return title + ":\n\t* " + strings.Join(faults, "\n\t* ") + "\n\n"
}
