package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/catalog"
)

var update = flag.Bool("update", false, "write docs/config.md anew")

const docsFile = "../docs/config.md"

const docsIntro = `# Configuration

<!-- Written by "go test ./config -run TestDocs -update" from the schema. Do not edit. -->

An agent reads its configuration from these sources; what comes later wins:

1. the defaults below, or those of ` + "`-dev`" + `;
2. files and directories in the order of ` + "`-config-file` and `-config-dir`" + ` (of a directory, files that end in
   .hcl or .json in the order of their names);
3. texts of ` + "`-hcl`" + `;
4. all other flags.

Scalars override, lists append, maps and objects merge. A key whose value is null in JSON is not set. A file of 0 bytes
is good. An object may be given where a list of objects is wanted, and the other way round. Durations are strings such
as "10s" or "5m"; an empty one is not set. Unknown keys, wrong types and values that cannot work stop the start, and
each is named with its file and line. ` + "`lictor validate`" + ` says the same without a start.

Addresses may be go-sockaddr templates such as ` + "`{{ GetPrivateIP }}`" + `. If bind_addr is 0.0.0.0, the agent tells
others its private IPv4 address. If there are several, advertise_addr or bind_addr must be set.

In the last column, **R** marks keys that may change on reload, and **-** those that have no effect yet.
`

// TestDocs keeps docs/config.md equal to what the schema says, and every key explained.
func TestDocs(t *testing.T) {
	b := &docsBuilder{comments: map[string]string{}, t: t}
	b.parse(".")
	got := b.page()
	if *update {
		if err := os.MkdirAll(filepath.Dir(docsFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(docsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docsFile)
	if err != nil || string(have) != got {
		t.Errorf("docs/config.md is not what the schema says (%v); run: go test ./config -run TestDocs -update", err)
	}
}

type docsBuilder struct {
	t        *testing.T
	comments map[string]string // by Type or Type.Field
	out      strings.Builder
}

func (b *docsBuilder) parse(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_gen.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if group, ok := decl.(*ast.GenDecl); ok {
				b.types(group)
			}
		}
	}
}

func (b *docsBuilder) types(group *ast.GenDecl) {
	for _, spec := range group.Specs {
		named, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		b.comments[named.Name.Name] = strings.Join(strings.Fields(group.Doc.Text()), " ")
		structure, ok := named.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range structure.Fields.List {
			for _, name := range f.Names {
				b.comments[named.Name.Name+"."+name.Name] = strings.TrimSpace(f.Comment.Text())
			}
		}
	}
}

func (b *docsBuilder) page() string {
	b.out.WriteString(docsIntro)
	root := reflect.ValueOf(Default()).Elem()
	for i := range root.NumField() {
		f := root.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("config"), ",")
		fmt.Fprintf(&b.out, "\n## %s\n\n%s\n\n", f.Name, b.comments[f.Type.Name()])
		b.out.WriteString("| key | type | default | meaning | |\n|---|---|---|---|---|\n")
		prefix := ""
		if name != "" {
			prefix = name + "."
		}
		b.rows(root.Field(i), prefix)
	}
	b.definition("Services", "services", "service", reflect.ValueOf(catalog.ServiceDefinition{}))
	b.definition("Checks of services and nodes", "checks", "check", reflect.ValueOf(catalog.CheckDefinition{}))
	b.older()
	b.flags()
	return b.out.String()
}

func (b *docsBuilder) definition(title, key, single string, v reflect.Value) {
	fmt.Fprintf(&b.out, "\n## %s\n\nThe keys of an element of %s, or of %s.\n\n", title, key, single)
	b.out.WriteString("| key | type | default | meaning | |\n|---|---|---|---|---|\n")
	b.rows(v, "")
}

// rows writes a row for each key of a struct and of the structs in it.
func (b *docsBuilder) rows(v reflect.Value, prefix string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("config"), ",")
		if option == "inline" {
			b.rows(v.Field(i), prefix)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		element := f.Type
		for element.Kind() == reflect.Pointer || element.Kind() == reflect.Slice {
			element = element.Elem()
		}
		_, listed := definitions()[element]
		switch {
		case element.Kind() == reflect.Struct && f.Type.Kind() == reflect.Struct && element != timeType:
			b.rows(v.Field(i), prefix+name+".")
		case element.Kind() == reflect.Struct && element != timeType && !listed:
			if f.Type.Kind() == reflect.Slice {
				name += "[]"
			}
			b.rows(reflect.New(element).Elem(), prefix+name+".")
		default:
			b.row(v.Type().Name()+"."+f.Name, prefix+name, v.Field(i))
		}
	}
}

func definitions() map[reflect.Type]string {
	return map[reflect.Type]string{
		reflect.TypeFor[catalog.ServiceDefinition](): "service", reflect.TypeFor[catalog.CheckDefinition](): "check",
	}
}

// row writes one row. Fields of the configuration explain themselves by their comments.
func (b *docsBuilder) row(field, key string, v reflect.Value) {
	meaning, ok := definitionMeanings()[field]
	if !ok {
		meaning = b.comments[field]
	}
	if meaning == "" {
		b.t.Errorf("%s (%s) has no comment that says what it means", field, key)
	}
	mark, plain := "", strings.ReplaceAll(key, "[]", "")
	if covers(reloadable(), plain) {
		mark = "R"
	}
	if slices.ContainsFunc(notYet(), func(n NoEffect) bool { return covers([]string{n.Key}, plain) }) {
		mark += "-"
	}
	fmt.Fprintf(&b.out, "| %s | %s | %s | %s | %s |\n", key, typeName(v.Type()), shownDefault(v), meaning, mark)
}

func typeName(t reflect.Type) string {
	switch t {
	case durationType, catalogDurationType:
		return "duration"
	case timeType:
		return "time"
	}
	if name, ok := definitions()[t]; ok {
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map of " + typeName(t.Elem())
	case reflect.Interface:
		return "anything"
	case reflect.Float64:
		return "number"
	case reflect.Struct:
		return strings.ToLower(t.Name())
	}
	return strings.TrimRight(t.Kind().String(), "0123456789")
}

func shownDefault(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case time.Time, catalog.Duration:
		return ""
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return ""
	case reflect.String:
		if v.Len() == 0 {
			return ""
		}
		return `"` + v.String() + `"`
	}
	return fmt.Sprint(v.Interface())
}

func (b *docsBuilder) older() {
	b.out.WriteString("\n## Older spellings\n\nThey are accepted, most with a warning. Where both spellings are set, the newer one counts.\n\n| older | key |\n|---|---|\n")
	for _, row := range renames() {
		fmt.Fprintf(&b.out, "| %s | %s |\n", row.from, row.to)
	}
	for _, name := range dropped() {
		fmt.Fprintf(&b.out, "| %s | (none: it has no effect) |\n", name)
	}
}

func (b *docsBuilder) flags() {
	b.out.WriteString("\n## Flags of the agent\n\n| flag | type | key | meaning |\n|---|---|---|---|\n")
	for _, f := range AgentFlags() {
		fmt.Fprintf(&b.out, "| -%s | %s | %s | %s |\n", f.Name, f.Kind, f.Key, f.Help)
	}
}

// definitionMeanings explain keys of definitions of the catalog's types, whose comments are not read here.
func definitionMeanings() map[string]string {
	return map[string]string{
		"CheckDefinition.ID":                             "id of the check on its agent; by default its name",
		"CheckDefinition.Name":                           "name of the check",
		"CheckDefinition.Notes":                          "a remark for people",
		"CheckDefinition.ServiceID":                      "service that the check is of; empty means the node",
		"CheckDefinition.Token":                          "token to register the check with",
		"CheckDefinition.ScriptArgs":                     "command and its arguments",
		"CheckDefinition.HTTP":                           "URL to ask; 2xx passes, 429 warns",
		"CheckDefinition.Header":                         "headers of the request",
		"CheckDefinition.Method":                         "method of the request; by default GET",
		"CheckDefinition.Body":                           "body of the request",
		"CheckDefinition.DisableRedirects":               "do not follow redirects",
		"CheckDefinition.TCP":                            "host:port to connect to",
		"CheckDefinition.TCPUseTLS":                      "connect with TLS",
		"CheckDefinition.UDP":                            "host:port to send a packet to",
		"CheckDefinition.DockerContainerID":              "container to run args in",
		"CheckDefinition.Shell":                          "shell of the command in the container",
		"CheckDefinition.GRPC":                           "host:port, or host:port/service, of a gRPC health service",
		"CheckDefinition.GRPCUseTLS":                     "connect with TLS",
		"CheckDefinition.H2PING":                         "host:port to send an HTTP/2 ping to",
		"CheckDefinition.OSService":                      "service of the operating system",
		"CheckDefinition.AliasNode":                      "node to take the health of",
		"CheckDefinition.AliasService":                   "service to take the health of",
		"CheckDefinition.Status":                         "state until the first run: passing, warning or critical; by default critical",
		"CheckDefinition.H2PingUseTLS":                   "connect with TLS; by default true",
		"CheckDefinition.TTL":                            "time within which the service must report",
		"CheckDefinition.TLSServerName":                  "name that the certificate must have",
		"CheckDefinition.TLSSkipVerify":                  "accept any certificate",
		"CheckDefinition.Interval":                       "pause between runs",
		"CheckDefinition.Timeout":                        "how long a run may take",
		"CheckDefinition.OutputMaxSize":                  "bytes of output that are kept",
		"CheckDefinition.SuccessBeforePassing":           "good runs in a row until the check passes",
		"CheckDefinition.FailuresBeforeWarning":          "bad runs in a row until the check warns",
		"CheckDefinition.FailuresBeforeCritical":         "bad runs in a row until the check is critical",
		"CheckDefinition.DeregisterCriticalServiceAfter": "how long the check may be critical until its service is deregistered",
		"ServiceDefinition.Kind":                         "empty for an ordinary service, or the kind of proxy or gateway",
		"ServiceDefinition.ID":                           "id of this instance on its agent; by default the name",
		"ServiceDefinition.Name":                         "name of the service",
		"ServiceDefinition.Tags":                         "tags of this instance",
		"ServiceDefinition.Address":                      "address of this instance; by default the node's",
		"ServiceDefinition.TaggedAddresses":              "further addresses of this instance, each with address and port",
		"ServiceDefinition.Meta":                         "labels of this instance",
		"ServiceDefinition.Port":                         "port of this instance",
		"ServiceDefinition.SocketPath":                   "Unix socket of this instance, in place of address and port",
		"ServiceDefinition.Check":                        "a check of this instance",
		"ServiceDefinition.Checks":                       "checks of this instance",
		"ServiceDefinition.Token":                        "token to register the service with",
		"ServiceDefinition.EnableTagOverride":            "let others change the tags in the catalog",
		"ConnectDefinition.Native":                       "the service takes part in the mesh by itself",
		"ConnectDefinition.SidecarService":               "proxy that is registered with the service",
		"Weights.Passing":                                "weight in DNS SRV answers while passing; by default 1",
		"Weights.Warning":                                "weight in DNS SRV answers while warning; by default 1",
		"Locality.Region":                                "region, such as us-east-1",
		"Locality.Zone":                                  "zone within the region",
		"Proxy.DestinationServiceName":                   "service that the proxy stands before",
		"Proxy.DestinationServiceID":                     "instance that the proxy stands before",
		"Proxy.LocalServiceAddress":                      "address of that instance; by default 127.0.0.1",
		"Proxy.LocalServicePort":                         "port of that instance",
		"Proxy.LocalServiceSocketPath":                   "Unix socket of that instance",
		"Proxy.Mode":                                     "empty, direct or transparent",
		"Proxy.Config":                                   "settings of the proxy, passed on as they are",
		"Upstream.DestinationType":                       "service or prepared_query",
		"Upstream.DestinationNamespace":                  "namespace of the destination",
		"Upstream.DestinationPartition":                  "partition of the destination",
		"Upstream.DestinationPeer":                       "peer of the destination",
		"Upstream.DestinationName":                       "service or query to reach",
		"Upstream.Datacenter":                            "datacenter of the destination",
		"Upstream.LocalBindAddress":                      "address where the proxy listens for the destination",
		"Upstream.LocalBindPort":                         "port where the proxy listens for the destination",
		"Upstream.LocalBindSocketPath":                   "Unix socket where the proxy listens for the destination",
		"Upstream.LocalBindSocketMode":                   "mode of that socket",
		"Upstream.Config":                                "settings of the upstream, passed on as they are",
		"MeshGateway.Mode":                               "none, local or remote",
		"Expose.Checks":                                  "let checks through without the mesh",
		"Expose.Port":                                    "accepted; ports of exposed paths are set one by one",
		"ExposePath.ListenerPort":                        "port where the proxy lets the path through",
		"ExposePath.Path":                                "path that is let through",
		"ExposePath.LocalPathPort":                       "port of the instance that serves the path",
		"ExposePath.Protocol":                            "http or http2",
		"TransparentProxy.OutboundListenerPort":          "port that outgoing traffic is redirected to",
		"TransparentProxy.DialedDirectly":                "let others dial this instance without its virtual address",
	}
}
