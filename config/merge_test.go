package config

import (
	"encoding/json"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"testing/quick"
)

// A source is a random configuration file for TestMergeIsAFold.
type source struct {
	DataDir string            `json:"data_dir,omitempty"`
	HTTP    int               `json:"-"`
	Join    []string          `json:"retry_join,omitempty"`
	Meta    map[string]string `json:"node_meta,omitempty"`
	Server  *bool             `json:"server,omitempty"`
}

// Generate makes a source in which each key may or may not be set.
func (source) Generate(r *rand.Rand, _ int) reflect.Value {
	s := source{Meta: map[string]string{}}
	if r.Intn(2) == 0 {
		s.DataDir = "/" + strconv.Itoa(r.Intn(9))
	}
	if r.Intn(2) == 0 {
		s.HTTP = 20000 + r.Intn(9)
	}
	for range r.Intn(3) {
		s.Join = append(s.Join, strconv.Itoa(r.Intn(9)))
		s.Meta[string(rune('a'+r.Intn(3)))] = strconv.Itoa(r.Intn(9))
	}
	if b := r.Intn(2) == 0; r.Intn(2) == 0 {
		s.Server = &b
	}
	return reflect.ValueOf(s)
}

func (s source) text(t *testing.T) string {
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if s.HTTP == 0 {
		return string(raw)
	}
	ports := `{"ports": {"http": ` + strconv.Itoa(s.HTTP) + `}`
	if len(raw) > 2 {
		ports += ","
	}
	return ports + string(raw[1:])
}

// TestMergeIsAFold compares the merge of sources with the plain meaning of its rules.
func TestMergeIsAFold(t *testing.T) {
	property := func(first source, rest []source) bool {
		first.DataDir = "/first"
		all := append([]source{first}, rest...)
		want := source{HTTP: 8500, Meta: map[string]string{}}
		var o Options
		for _, s := range all {
			o.Fragments = append(o.Fragments, s.text(t))
			want.Join = slices.Concat(want.Join, s.Join)
			maps.Copy(want.Meta, s.Meta)
			if s.DataDir != "" {
				want.DataDir = s.DataDir
			}
			if s.HTTP != 0 {
				want.HTTP = s.HTTP
			}
			if s.Server != nil {
				want.Server = s.Server
			}
		}
		c := mustLoad(t, o).Config
		return c.Node.DataDir == want.DataDir && c.Network.Ports.HTTP == want.HTTP && slices.Equal(c.Join.RetryJoin, want.Join) &&
			maps.Equal(c.Node.Meta, want.Meta) && c.Server.Server == (want.Server != nil && *want.Server)
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 100}); err != nil {
		t.Error(err)
	}
}
