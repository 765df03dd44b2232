package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// uniqueTargets refuses two claims under one name.
func uniqueTargets(field string, mapping map[string]string) error {
	seen := map[string]bool{}
	for claim, name := range mapping {
		if claim == "" || name == "" || seen[name] {
			return wrong(field, "%s contains multiple mappings for key %q, or an empty one", field, name)
		}
		seen[name] = true
	}
	return nil
}

// choose gives the claims that the mappings name the names that they have in expressions.
func (k *Checker) choose(all map[string]any) (*Claims, error) {
	chosen := &Claims{map[string]string{}, map[string][]string{}}
	for claim, name := range k.config.ClaimMappings {
		found := claimAt(all, claim)
		if found == nil {
			continue
		}
		text, ok := textOf(found)
		if !ok {
			return nil, fmt.Errorf("error converting claim '%s' to string from unknown type %T", claim, found)
		}
		chosen.Value[name] = text
	}
	for claim, name := range k.config.ListClaimMappings {
		if found := claimAt(all, claim); found != nil {
			chosen.List[name] = texts(found)
		}
	}
	return chosen, nil
}

// lacks tells whether a claim that the mappings name is missing.
func (k *Checker) lacks(all map[string]any) bool {
	for _, mapping := range []map[string]string{k.config.ClaimMappings, k.config.ListClaimMappings} {
		for claim := range mapping {
			if claimAt(all, claim) == nil {
				return true
			}
		}
	}
	return false
}

// claimAt finds a claim by its name, or by a JSON pointer, "/a/b"; nil if there is none.
func claimAt(all map[string]any, name string) any {
	path, ok := strings.CutPrefix(name, "/")
	if !ok {
		return all[name]
	}
	var at any = all
	for _, part := range strings.Split(path, "/") {
		switch here := at.(type) {
		case map[string]any:
			at = here[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(here) {
				return nil
			}
			at = here[i]
		default:
			return nil
		}
	}
	return at
}

// texts is a claim that is a text or a list of such.
func texts(claim any) []string {
	list, ok := claim.([]any)
	if !ok {
		list = []any{claim}
	}
	var all []string
	for _, one := range list {
		if t, ok := textOf(one); ok {
			all = append(all, t)
		}
	}
	return all
}

// textOf is a claim that is one value, as a text. Whole numbers keep all their digits, so that no two are taken for one.
func textOf(claim any) (string, bool) {
	switch c := claim.(type) {
	case string:
		return c, true
	case bool:
		return strconv.FormatBool(c), true
	case json.Number:
		if f, err := c.Float64(); err == nil && strings.ContainsAny(c.String(), ".eE") {
			return strconv.FormatFloat(f, 'f', -1, 64), true
		}
		return c.String(), true
	}
	return "", false
}

// moment is a time of a claim in seconds; the zero Time if there is none, or 0, as some issuers write that.
func moment(claim any) (time.Time, error) {
	if claim == nil {
		return time.Time{}, nil
	}
	number, _ := claim.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, errors.New("is not a time in seconds since 1970")
	}
	if seconds == 0 {
		return time.Time{}, nil
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}
