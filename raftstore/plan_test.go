package raftstore

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// servers reads a situation's servers from lines of "id role status words", where words are healthy, replica, since=D
// (how long it has been as it is; an hour if left out), at=ADDRESS (in the configuration), and KEY=VALUE of its metadata.
func servers(now time.Time, lines ...string) []ServerFitness {
	var all []ServerFitness
	for _, line := range lines {
		words := strings.Fields(line)
		x := ServerFitness{Member: Member{ID: words[0], Address: words[0] + ":8300", Status: words[2]}, Role: words[1], Meta: map[string]string{}}
		x.configured, x.StableSince = x.Address, now.Add(-time.Hour)
		for _, w := range words[3:] {
			switch key, v, _ := strings.Cut(w, "="); key {
			case "healthy":
				x.Healthy = true
			case "replica":
				x.ReadReplica = true
			case "at":
				x.configured = v
			case "since":
				d, err := time.ParseDuration(v)
				if err != nil {
					panic(err)
				}
				x.StableSince = now.Add(-d)
			default:
				x.Meta[key] = v
			}
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b ServerFitness) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func TestPlan(t *testing.T) {
	zones := func(c *AutopilotConfig) { c.RedundancyZoneTag = "zone" }
	versions := func(c *AutopilotConfig) { c.UpgradeVersionTag = "v" }
	for name, x := range map[string]struct {
		servers []string
		config  func(*AutopilotConfig)
		leads   time.Duration // for how long the leader has looked; an hour if 0
		want    string
	}{
		"all is well":   {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter alive healthy"}},
		"one joins":     {servers: []string{"a leader alive healthy", "b none alive"}, want: "add b"},
		"one has left":  {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter left"}, want: "remove c"},
		"one leaves":    {servers: []string{"a leader alive healthy", "b voter alive healthy", "c non-voter leaving healthy"}, want: "remove c"},
		"leader leaves": {servers: []string{"a leader leaving healthy", "b voter alive healthy"}},
		"one has moved": {servers: []string{"a leader alive healthy at=x:1", "b voter alive healthy at=y:1", "c voter failed at=z:1"}, want: "move a, move b"},

		"not stable yet":   {servers: []string{"a leader alive healthy", "b non-voter alive healthy since=9s"}},
		"stable":           {servers: []string{"a leader alive healthy", "b non-voter alive healthy since=10s"}, want: "promote b"},
		"stable for long":  {servers: []string{"a leader alive healthy", "b non-voter alive since=1m"}},
		"stable, but left": {servers: []string{"a leader alive healthy", "b non-voter failed healthy"}, config: func(c *AutopilotConfig) { c.CleanupDeadServers = false }},
		"new leader": {servers: []string{"a leader alive healthy since=1s", "b non-voter alive healthy since=1s", "c non-voter alive"}, leads: 10 * time.Second,
			want: "promote b"},
		"replica":     {servers: []string{"a leader alive healthy", "b non-voter alive healthy replica"}},
		"was a voter": {servers: []string{"a leader alive healthy", "b voter alive healthy replica", "c voter alive healthy"}, want: "demote b"},

		"no replacement":    {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed"}},
		"replacement":       {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy"}, want: "remove c"},
		"not healthy alone": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter alive", "d voter alive healthy"}},
		"no clean-up": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy", "e non-voter failed"},
			config: func(c *AutopilotConfig) { c.CleanupDeadServers = false }},
		"min quorum": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy"},
			config: func(c *AutopilotConfig) { c.MinQuorum = 4 }},
		"min quorum kept": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy"},
			config: func(c *AutopilotConfig) { c.MinQuorum = 3 }, want: "remove c"},
		"two of five": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy", "e voter failed"},
			want: "remove c, remove e"},
		"one of five":   {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter failed", "d voter alive healthy", "e voter alive healthy"}},
		"dead standby":  {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter alive healthy", "d non-voter failed"}, want: "remove d"},
		"not known yet": {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter none since=5s", "d voter alive healthy"}},
		"forgotten":     {servers: []string{"a leader alive healthy", "b voter alive healthy", "c voter none", "d voter alive healthy"}, want: "remove c"},
		"too many": {servers: []string{"a leader alive healthy", "b voter failed", "c voter failed", "d voter failed", "e voter alive healthy", "f voter alive healthy", "g voter alive healthy"},
			want: "remove b, remove c"},

		"a zone's standby": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter alive healthy zone=2", "c voter alive healthy zone=3",
			"d non-voter alive healthy zone=1", "e non-voter alive healthy zone=2", "f non-voter alive healthy zone=3"}},
		"a zone's first": {config: zones, servers: []string{"a leader alive healthy zone=1", "b non-voter alive healthy zone=2", "c non-voter alive healthy zone=2 since=2h"},
			want: "promote c"},
		"a zone's voter fails": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter failed zone=2", "c voter alive healthy zone=3", "d non-voter alive healthy zone=2"},
			want: "promote d"},
		"it is replaced": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter failed zone=2", "c voter alive healthy zone=3", "d voter alive healthy zone=2"},
			want: "remove b"},
		"it is ailing": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter alive zone=2", "c voter alive healthy zone=3", "d voter alive healthy zone=2"},
			want: "demote b"},
		"a zone is lost": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter failed zone=2", "c voter alive healthy zone=3", "d non-voter failed zone=2",
			"e non-voter alive healthy zone=1", "f non-voter alive healthy zone=3"}, want: "promote e, remove d"},
		"and stood in for": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter alive zone=2", "c voter alive healthy zone=3",
			"e voter alive healthy zone=1", "f non-voter alive healthy zone=3"}},
		"and is back": {config: zones, servers: []string{"a leader alive healthy zone=1", "b voter alive healthy zone=2", "c voter alive healthy zone=3", "e voter alive healthy zone=1"},
			want: "demote e"},
		"no zone": {config: zones, servers: []string{"a leader alive healthy zone=1", "b non-voter alive healthy", "c non-voter alive healthy"}, want: "promote b, promote c"},

		"old and new, too few": {config: versions, servers: []string{"a leader alive healthy v=1.9.0", "b voter alive healthy v=1.9.0", "c voter alive healthy v=1.9.0",
			"d non-voter alive healthy v=1.10.0", "e non-voter alive healthy v=1.10.0"}},
		"as many": {config: versions, servers: []string{"a leader alive healthy v=1.9.0", "b voter alive healthy v=1.9.0", "c voter alive healthy v=1.9.0",
			"d non-voter alive healthy v=1.10.0", "e non-voter alive healthy v=1.10.0", "f non-voter alive healthy v=1.10.0"}, want: "promote d, promote e, promote f"},
		"all vote": {config: versions, servers: []string{"a leader alive healthy v=1.9.0", "b voter alive healthy v=1.9.0", "c voter alive healthy v=1.9.0",
			"d voter alive healthy v=1.10.0", "e voter alive healthy v=1.10.0", "f voter alive healthy v=1.10.0"}, want: "hand the leadership to d"},
		"a new one leads": {config: versions, servers: []string{"a voter alive healthy v=1.9.0", "b voter alive healthy v=1.9.0", "c voter alive healthy v=1.9.0",
			"d leader alive healthy v=1.10.0", "e voter alive healthy v=1.10.0", "f voter alive healthy v=1.10.0"}, want: "demote a, demote b, demote c"},
		"retired": {config: versions, servers: []string{"a non-voter alive healthy v=1.9.0", "b non-voter alive healthy v=1.9.0", "d leader alive healthy v=1.10.0",
			"e voter alive healthy v=1.10.0", "f voter alive healthy v=1.10.0"}, want: ""},
		"one after the other": {config: versions, servers: []string{"a leader alive healthy v=1.10.0", "b voter alive healthy v=1.10.0", "c voter alive healthy v=1.9.0"}},
		"no migration": {config: func(c *AutopilotConfig) { versions(c); c.DisableUpgradeMigration = true },
			servers: []string{"a leader alive healthy v=1.9.0", "d non-voter alive healthy v=1.10.0"}, want: "promote d"},
	} {
		now := time.Now()
		config := DefaultAutopilot()
		if x.config != nil {
			x.config(&config)
		}
		since := now.Add(-cmp.Or(x.leads, time.Hour))
		var got []string
		for _, c := range plan(situation{servers(now, x.servers...), config, since, now}) {
			got = append(got, string(c.action)+" "+c.server.ID)
		}
		if diff := gocmp.Diff(x.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{"", "1.9", "1.9.3", "1.10", "1.10.0-beta", "2"}
	for i, a := range order {
		for k, b := range order {
			if got := compareVersions(a, b); got != cmp.Compare(i, k) {
				t.Errorf("%q to %q: %d", a, b, got)
			}
		}
	}
}
