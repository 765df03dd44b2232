package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValidateDefinitions(t *testing.T) {
	tooMany := "{"
	for i := range 65 {
		tooMany += fmt.Sprintf(`"k%d":"",`, i)
	}
	tooMany = strings.TrimSuffix(tooMany, ",") + "}"
	for body, want := range map[string]string{
		`{}`:                       "Missing service name",
		`{"ID": "x"}`:              "Missing service name",
		`{"Name": "x", "Port":-1}`: "",
		`{"Name": "x", "Kind": "odd", "Tags": ["a b"], "Port": 100000}`:                                                            "",
		`{"Name": "x", "Meta": {"a b": "1"}}`:                                                                                      "Invalid Service Meta: Couldn't load metadata pair ('a b', '1'): Key contains invalid characters",
		`{"Name": "x", "Meta": {"": "1"}}`:                                                                                         "Invalid Service Meta: Couldn't load metadata pair ('', '1'): Key cannot be blank",
		`{"Name": "x", "Meta": ` + tooMany + `}`:                                                                                   "Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs",
		`{"Name": "x", "Meta": {"k": "` + strings.Repeat("v", 513) + `"}}`:                                                         "Invalid Service Meta: Couldn't load metadata pair ('k', '" + strings.Repeat("v", 513) + "'): Value is too long (limit: 512 characters)",
		`{"Name": "x", "Address": "::"}`:                                                                                           "Invalid service address",
		`{"Name": "x", "Address": "0.0.0.0"}`:                                                                                      "Invalid service address",
		`{"Name": "x", "Weights": {"Passing": 70000, "Warning": 1}}`:                                                               "Invalid Weights: DNS Weight must be between 0 and 65535",
		`{"Name": "x", "Weights": {"Passing": 0}}`:                                                                                 "Invalid Weights: Passing must be greater than 0",
		`{"Name": "x", "Check": {"Name": "c"}}`:                                                                                    "Invalid check: TTL must be > 0 for TTL checks",
		`{"Name": "x", "Check": {"AliasService": ""}}`:                                                                             "",
		`{"Name": "x", "Check": {"HTTP": "http://h/"}}`:                                                                            "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
		`{"Name": "x", "Check": {"HTTP": "http://h/", "TCP": "h:1", "Interval": 1}}`:                                               "",
		`{"Name": "x", "Checks": [{"TTL": "10s", "Interval": "10s"}]}`:                                                             "Invalid check: Interval and TTL cannot both be specified",
		`{"Name": "x", "Check": {"GRPC": "", "Interval": "10s"}}`:                                                                  "Invalid check: TTL must be > 0 for TTL checks",
		`{"Name": "x", "Check": {"TTL": "10s", "OutputMaxSize": -1}}`:                                                              "Invalid check: MaxOutputMaxSize must be positive",
		`{"Name": "x", "Check": {"TTL": "10s", "FailuresBeforeCritical": 1, "FailuresBeforeWarning": 5}}`:                          "Invalid check: FailuresBeforeWarning can't be higher than FailuresBeforeCritical",
		`{"Name": "x", "Kind": "connect-proxy", "Port": 1}`:                                                                        "Validation failed: 1 error occurred:\n\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n",
		`{"Name": "x", "Kind": "mesh-gateway", "Port": 1, "Connect": {"SidecarService": {}}}`:                                      "Validation failed: 1 error occurred:\n\t* A mesh-gateway cannot have a sidecar service defined\n\n",
		`{"Name": "x", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "y"}, "Connect": {"Native": true}}`: "Validation failed: 1 error occurred:\n\t* A Proxy cannot also be Connect Native, only typical services\n\n",
		`{"Name": "x", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "y", "Upstreams": [{"DestinationName": "a", "LocalBindPort": 1}, {"DestinationName": "b", "LocalBindPort": 1}]}}`:             "Validation failed: 1 error occurred:\n\t* upstreams cannot contain duplicates by local bind address and port or unix path; \"127.0.0.1:1\" is specified twice\n\n",
		`{"Name": "x", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "y", "Upstreams": [{"LocalBindPort": 1}, {"DestinationName": "a"}, {"DestinationType": "odd", "DestinationName": "a"}]}}`:     "Validation failed: 3 errors occurred:\n\t* upstream destination name cannot be empty\n\t* upstream local bind port or local socket path must be defined and nonzero\n\t* unknown upstream destination type: \"odd\"\n\n",
		`{"Name": "x", "Connect": {"SidecarService": {"Connect": {"SidecarService": {}}}}}`:                                                                                                                                  "Invalid SidecarService: sidecar service definitions can't be nested",
		`{"Name": "x", "Connect": {"SidecarService": {}}, "Check": {"Args": ["a"], "TTL": "1s"}, "Checks": [{"TTL": "1m", "Status": "passing"}]}`:                                                                            "",
		`{"Name": "x", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "y", "Upstreams": [{"DestinationName": "a", "LocalBindSocketPath": "/s"}, {"DestinationName": "b", "LocalBindPort": 8000}]}}`: "",
	} {
		var d ServiceDefinition
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		if err := d.Validate(); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%s\ngot  %v\nwant %s", body, err, want)
		}
	}
}

func TestRowsOfDefinitions(t *testing.T) {
	var d ServiceDefinition
	err := json.Unmarshal([]byte(`{"Name": "web", "Address": "10.1.1.1", "Port": 80, "Tags": ["a"],
		"TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 81}},
		"Proxy": {"MeshGateway": {"Mode": "remote"}, "Upstreams": [{"DestinationName": "db"}, {"DestinationType": "prepared_query", "DestinationName": "q"}]},
		"Checks": [{"TTL": "30s", "Name": "c", "Status": "passing", "Notes": "n"}, {"CheckID": "d", "HTTP": "http://h/", "Interval": "10s"}]}`), &d)
	if err != nil {
		t.Fatal(err)
	}
	want := &Instance{Node: "n", ID: "web", Service: "web", Address: "10.1.1.1", Port: 80, Tags: []string{"a"}, Weights: &Weights{1, 1},
		TaggedAddresses: map[string]ServiceAddress{"wan": {"1.2.3.4", 81}, "lan_ipv4": {"10.1.1.1", 80}, "wan_ipv4": {"10.1.1.1", 80}},
		Proxy: Proxy{MeshGateway: MeshGateway{"remote"}, Upstreams: []Upstream{
			{DestinationType: "service", DestinationName: "db", MeshGateway: MeshGateway{"remote"}},
			{DestinationType: "prepared_query", DestinationName: "q"}}}}
	i := d.Instance("n")
	if !reflect.DeepEqual(i, want) {
		t.Errorf("got %+v", i)
	}
	checks := d.AllChecks()
	if got, want := checks[0].Check("n", i), (&Check{Node: "n", CheckID: "c", Name: "c", Status: Passing, Notes: "n", ServiceID: "web", ServiceName: "web",
		ServiceTags: []string{"a"}, Type: "ttl", Interval: "0s", Timeout: "0s"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := checks[1].Check("n", nil); got.CheckID != "d" || got.Status != Critical || got.Type != TypeHTTP || got.Interval != "10s" || got.ServiceID != "" {
		t.Errorf("got %+v", got)
	}
	if Duration(time.Minute).String() != "1m0s" {
		t.Error("durations are not written as Go does")
	}
}

func TestTypesOfChecks(t *testing.T) {
	for body, want := range map[string]string{
		`{"TTL": "1s"}`: TypeTTL, `{"HTTP": "x"}`: TypeHTTP, `{"TCP": "x"}`: TypeTCP, `{"UDP": "x"}`: TypeUDP, `{"ScriptArgs": ["x"]}`: TypeScript,
		`{"ScriptArgs": ["x"], "DockerContainerID": "y"}`: TypeDocker, `{"GRPC": "x"}`: TypeGRPC, `{"H2PING": "x"}`: TypeH2PING,
		`{"AliasNode": "x"}`: TypeAlias, `{"AliasService": "x"}`: TypeAlias, `{"OSService": "x"}`: TypeOSService, `{}`: "",
	} {
		var d CheckDefinition
		if err := json.Unmarshal([]byte(body), &d); err != nil || d.Type() != want {
			t.Errorf("%s: %q, %v", body, d.Type(), err)
		}
	}
}
