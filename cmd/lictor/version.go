package main

import (
	"context"
	"encoding/json"
	"flag"
	"runtime/debug"
)

// The versions that are reported: that of Consul whose behaviour this is, and our own.
const (
	consulVersion = "1.21.4"
	lictorVersion = "0.1.0"
)

// protocols are the versions of the gossip protocol that agents speak, as Consul counts them.
type protocols struct{ Default, Min, Max int }

type versionReport struct {
	Version    string
	Revision   string
	Prerelease string
	BuildDate  string
	RPC        protocols
}

func newVersion(fs *flag.FlagSet, c *console) runFunc {
	format := fs.String("format", "pretty", "The `format` to print in, pretty or json.")
	return func(context.Context, []string) error { return writeVersion(c, *format) }
}

func writeVersion(c *console, format string) error {
	v := versionReport{Version: consulVersion, RPC: protocols{Default: 2, Min: 2, Max: 3}}
	v.Revision, v.BuildDate = revision()
	switch format {
	case "json":
		return json.NewEncoder(c.out).Encode(v)
	case "pretty":
	default:
		return usagef("Unknown format: %s", format)
	}
	c.printf("Consul v%s (compatible; this is Lictor v%s)\n", v.Version, lictorVersion)
	if v.Revision != "" {
		c.printf("Revision %s\n", v.Revision)
	}
	c.printf("Build Date %s\n", v.BuildDate)
	c.printf("Protocol %d spoken by default, understands %d to %d (agent will automatically use protocol >%d when speaking to compatible agents)\n",
		v.RPC.Default, v.RPC.Min, v.RPC.Max, v.RPC.Default)
	return nil
}

// revision is the commit that this binary was built from, and its time.
func revision() (commit, date string) {
	date = "1970-01-01T00:00:01Z"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", date
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(8, len(s.Value))]
		case "vcs.time":
			date = s.Value
		}
	}
	return commit, date
}
