package configentry

import (
	"fmt"
	"slices"
	"strings"

	"lictor/rpc"
)

// The kinds of entries.
const (
	ProxyDefaults      = "proxy-defaults"
	ServiceDefaults    = "service-defaults"
	ServiceRouter      = "service-router"
	ServiceSplitter    = "service-splitter"
	ServiceResolver    = "service-resolver"
	IngressGateway     = "ingress-gateway"
	TerminatingGateway = "terminating-gateway"
	ServiceIntentions  = "service-intentions"
	Mesh               = "mesh"
	ExportedServices   = "exported-services"
	SamenessGroup      = "sameness-group"
	APIGateway         = "api-gateway"
	BoundAPIGateway    = "bound-api-gateway"
	HTTPRoute          = "http-route"
	TCPRoute           = "tcp-route"
	InlineCertificate  = "inline-certificate"
	FileCertificate    = "file-system-certificate"
	JWTProvider        = "jwt-provider"
)

// A Content is what an entry says. It is a pointer to the struct of the entry's kind.
type Content interface {
	// settle brings it into the form in which it is stored, and tells what makes it unfit.
	settle(name string) error
}

// kinds is THE list of kinds with the structs of their contents.
var kinds = map[string]func() Content{
	ProxyDefaults:      func() Content { return new(ProxySettings) },
	ServiceDefaults:    func() Content { return new(ServiceSettings) },
	ServiceRouter:      func() Content { return new(Router) },
	ServiceSplitter:    func() Content { return new(Splitter) },
	ServiceResolver:    func() Content { return new(Resolver) },
	IngressGateway:     func() Content { return new(Ingress) },
	TerminatingGateway: func() Content { return new(Terminating) },
	ServiceIntentions:  func() Content { return new(Intentions) },
	Mesh:               func() Content { return new(MeshSettings) },
	ExportedServices:   func() Content { return new(Exports) },
	SamenessGroup:      func() Content { return new(Sameness) },
	APIGateway:         func() Content { return new(Gateway) },
	BoundAPIGateway:    func() Content { return new(BoundGateway) },
	HTTPRoute:          func() Content { return new(HTTPRoutes) },
	TCPRoute:           func() Content { return new(TCPRoutes) },
	InlineCertificate:  func() Content { return new(Certificate) },
	FileCertificate:    func() Content { return new(CertificateFile) },
	JWTProvider:        func() Content { return new(Provider) },
}

func newContent(kind string) Content {
	if make := kinds[kind]; make != nil {
		return make()
	}
	return nil
}

// KnownKind tells whether there is such a kind.
func KnownKind(kind string) bool { return kinds[kind] != nil }

func unknownKind(kind string) error {
	return rpc.Errorf(rpc.Internal, "invalid config entry kind: %s", kind)
}

// The names of entries of which there is one.
const (
	globalName  = "global"
	meshName    = "mesh"
	defaultName = "default"
)

// A Form is an entry as a client sends it: any of the struct's fields by their names, in any case and with or without
// underscores.
type Form map[string]any

// Parse makes an entry of a form. Its errors say what is wrong with the form; whether the entry is fit to be stored is
// for Service.Put.
func Parse(f Form) (*Entry, error) { return parse(f, true) }

// parse may leave out fields that nobody knows, if it is not strict.
func parse(f Form, strict bool) (*Entry, error) {
	kind, ok := f["Kind"]
	if !ok {
		kind, ok = f["kind"]
	}
	if !ok {
		return nil, fmt.Errorf("Payload does not contain a kind/Kind key at the top level")
	}
	name, _ := kind.(string)
	c := newContent(name)
	if c == nil {
		return nil, fmt.Errorf("invalid config entry kind: %v", kind)
	}
	e := &Entry{Kind: name}
	if name == Mesh {
		e.Name = meshName
	}
	rest := map[string]any{}
	for k, v := range f {
		switch strings.ToLower(strings.ReplaceAll(k, "_", "")) {
		case "kind", "createindex", "modifyindex", "hash", "raftindex", "enterprisemeta", "locality":
		case "namespace", "partition":
			if s, _ := v.(string); s != "" && s != defaultName {
				return nil, fmt.Errorf("%s %q: namespaces and partitions are an enterprise-only feature", k, s)
			}
		case "name":
			if v != nil {
				e.Name = fmt.Sprint(v)
			}
		default:
			rest[k] = v
		}
	}
	if err := decode(rest, c, strict); err != nil {
		return nil, err
	}
	return e, e.seal(c)
}

// Kinds are the names of all kinds, sorted.
func Kinds() []string {
	var all []string
	for k := range kinds {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
