package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"

	"lictor/catalog"
)

// hidden stands for a secret that is set.
const hidden = "hidden"

// Sanitized is the configuration as /v1/agent/self shows it in DebugConfig: flat, under Consul's names, durations and
// addresses as strings, without secrets.
func (c *Config) Sanitized() map[string]any {
	shown := map[string]any{}
	flatten(reflect.ValueOf(c).Elem(), "", shown)
	flatten(reflect.ValueOf(c.Network.Endpoints), "", shown)
	for from, prefix := range map[*Tuning]string{&c.Gossip.LAN: "GossipLAN", &c.Gossip.WAN.Tuning: "GossipWAN"} {
		flatten(reflect.ValueOf(*from), prefix, shown)
	}
	shown["DNSAddrs"] = shownDNS(c.Network.Endpoints.DNS)
	shown["UIConfig"] = shownStruct(reflect.ValueOf(c.UI))
	shown["Telemetry"] = shownStruct(reflect.ValueOf(c.Telemetry))
	shown["TLS"] = shownStruct(reflect.ValueOf(c.TLS))
	shown["RaftLogStoreConfig"] = shownStruct(reflect.ValueOf(c.Raft.LogStore))
	shown["DNSSOA"] = shownStruct(reflect.ValueOf(c.DNS.Config.SOA))
	shown["ACLResolverSettings"] = c.aclSettings()
	shown["Services"] = shownServices(c.Checks.Services)
	shown["Checks"] = shownChecks(c.Checks.Checks)
	shown["LocalServerName"], shown["Logging"] = c.Server.Name, c.shownLog()
	return shown
}

// apart are the groups that Sanitized shows as objects of their own, and not flat.
func apart(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[UI](), reflect.TypeFor[Telemetry](), reflect.TypeFor[TLS](), reflect.TypeFor[LogStore](),
		reflect.TypeFor[SOA](), reflect.TypeFor[Tuning](), reflect.TypeFor[Endpoints](), reflect.TypeFor[Reporting]():
		return true
	}
	return false
}

// flatten collects the named fields of a struct and of the groups in it.
func flatten(v reflect.Value, prefix string, shown map[string]any) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, option, _ := strings.Cut(field.Tag.Get("debug"), ",")
		switch {
		case name != "":
			shown[prefix+name] = shownValue(v.Field(i), option == "secret")
		case field.Type.Kind() == reflect.Struct && !apart(field.Type) && field.Type != timeType:
			flatten(v.Field(i), prefix, shown)
		}
	}
}

// shownStruct shows a group as an object.
func shownStruct(v reflect.Value) map[string]any {
	object := map[string]any{}
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("debug"), ",")
		if name != "" {
			object[name] = shownValue(v.Field(i), option == "secret")
		}
	}
	return object
}

func shownValue(v reflect.Value, secret bool) any {
	if secret {
		if v.IsZero() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0 {
			return reflect.Zero(v.Type()).Interface()
		}
		return hidden
	}
	switch x := v.Interface().(type) {
	case netip.AddrPort:
		if !x.IsValid() {
			return ""
		}
		return "tcp://" + x.String()
	case []Listen:
		return shownListens(x)
	case time.Duration, netip.Addr:
		return fmt.Sprint(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return shownValue(v.Elem(), false)
	case reflect.Struct:
		return shownStruct(v)
	case reflect.Slice:
		return shownList(v)
	case reflect.Map:
		return shownMap(v)
	}
	return v.Interface()
}

func shownListens(all []Listen) []string {
	texts := []string{}
	for _, l := range all {
		texts = append(texts, l.String())
	}
	return texts
}

// shownDNS shows each address of DNS for both of its transports.
func shownDNS(all []Listen) []string {
	texts := []string{}
	for _, l := range all {
		texts = append(texts, "tcp://"+l.Address, "udp://"+l.Address)
	}
	return texts
}

func shownList(v reflect.Value) []any {
	list := []any{}
	for i := range v.Len() {
		list = append(list, shownValue(v.Index(i), false))
	}
	return list
}

func shownMap(v reflect.Value) map[string]any {
	object := map[string]any{}
	for _, key := range v.MapKeys() {
		object[key.String()] = shownPlain(v.MapIndex(key))
	}
	return object
}

func shownPlain(v reflect.Value) any {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	return v.Interface()
}

func (c *Config) aclSettings() map[string]any {
	return map[string]any{
		"ACLsEnabled": c.ACL.Enabled, "Datacenter": c.Node.Datacenter, "NodeName": c.Node.Name,
		"ACLPolicyTTL": c.ACL.PolicyTTL.String(), "ACLTokenTTL": c.ACL.TokenTTL.String(), "ACLRoleTTL": c.ACL.RoleTTL.String(),
		"ACLDownPolicy": c.ACL.DownPolicy, "ACLDefaultPolicy": c.ACL.DefaultPolicy,
	}
}

func (c *Config) shownLog() map[string]any {
	return map[string]any{
		"LogLevel": c.Log.Level, "LogJSON": c.Log.JSON, "LogFilePath": c.Log.File, "EnableSyslog": c.Log.Syslog,
		"LogRotateBytes": c.Log.RotateBytes, "LogRotateDuration": c.Log.RotateDuration.String(),
		"LogRotateMaxFiles": c.Log.RotateMaxFiles, "SyslogFacility": c.Log.Facility, "Name": "",
	}
}

// shownServices are copies of the services without their tokens.
func shownServices(all []*catalog.ServiceDefinition) []catalog.ServiceDefinition {
	shown := []catalog.ServiceDefinition{}
	for _, s := range all {
		shown = append(shown, *withoutTokens(s))
	}
	return shown
}

func withoutTokens(s *catalog.ServiceDefinition) *catalog.ServiceDefinition {
	shown := *s
	shown.Token = hide(s.Token)
	shown.Checks = nil
	for _, c := range shownChecks(s.Checks) {
		shown.Checks = append(shown.Checks, &c)
	}
	if s.Check != nil {
		shown.Check = &shownChecks([]*catalog.CheckDefinition{s.Check})[0]
	}
	if s.Connect != nil && s.Connect.SidecarService != nil {
		connect := *s.Connect
		connect.SidecarService = withoutTokens(s.Connect.SidecarService)
		shown.Connect = &connect
	}
	return &shown
}

// shownChecks are copies of the checks without their tokens and without what they send, which may hold those of others.
func shownChecks(all []*catalog.CheckDefinition) []catalog.CheckDefinition {
	shown := []catalog.CheckDefinition{}
	for _, c := range all {
		copied := *c
		copied.Token, copied.Body = hide(c.Token), hide(c.Body)
		if u, err := url.Parse(c.HTTP); err == nil && u.User != nil {
			copied.HTTP = u.Redacted()
		}
		copied.Header = maps.Clone(c.Header)
		for name := range copied.Header {
			copied.Header[name] = []string{hidden}
		}
		shown = append(shown, copied)
	}
	return shown
}

func hide(secret string) string {
	if secret == "" {
		return ""
	}
	return hidden
}
