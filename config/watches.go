package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Watches are handlers that run when something changes.
type Watches struct {
	List []map[string]any `config:"watches" debug:"Watches,secret"` // handlers: each has a type, what that type needs, and args or an http_handler_config
}

// watchTypes are the types of watches, with the parameters of each; those with a star are needed.
func watchTypes() map[string]string {
	return map[string]string{
		"key": "key*", "keyprefix": "prefix*", "services": "filter", "nodes": "filter", "service": "service* tag passingonly filter",
		"checks": "service state filter", "event": "name", "connect_roots": "", "connect_leaf": "service*",
		"connect_proxy_config": "proxy_service_id*", "agent_service": "service_id*",
	}
}

// watchCommon are the parameters of every watch.
const watchCommon = "type datacenter token stale handler handler_type args http_handler_config namespace partition peer"

func (w *Watches) check(r *report) {
	for i, watch := range w.List {
		for _, text := range watchProblems(watch) {
			r.refuse(fmt.Sprintf("watches[%d]", i), "%s", text)
		}
	}
}

func watchProblems(watch map[string]any) []string {
	types := watchTypes()
	kind, _ := watch["type"].(string)
	parameters, known := types[kind]
	if !known {
		names := slices.Sorted(maps.Keys(types))
		return []string{fmt.Sprintf("the type is %q, but must be one of: %s", kind, strings.Join(names, ", "))}
	}
	allowed := strings.Fields(watchCommon)
	var texts []string
	for _, parameter := range strings.Fields(parameters) {
		name, needed := strings.CutSuffix(parameter, "*")
		allowed = append(allowed, name)
		if content, _ := watch[name].(string); needed && content == "" {
			texts = append(texts, fmt.Sprintf("a watch of type %s needs %s", kind, name))
		}
	}
	for name := range watch {
		if !slices.Contains(allowed, name) {
			texts = append(texts, fmt.Sprintf("a watch of type %s has no parameter %s; allowed: %s", kind, name, strings.Join(allowed, ", ")))
		}
	}
	slices.Sort(texts)
	return append(texts, handlerProblems(watch)...)
}

func handlerProblems(watch map[string]any) []string {
	handler, _ := watch["handler"].(string)
	args, _ := watch["args"].([]any)
	kind, _ := watch["handler_type"].(string)
	if _, ok := watch["http_handler_config"]; ok && kind == "" {
		kind = "http"
	}
	switch kind {
	case "", "script":
		if (handler != "") == (len(args) > 0) {
			return []string{"a watch needs either args or handler"}
		}
		for _, arg := range args {
			if _, ok := arg.(string); !ok {
				return []string{"args must be a list of strings"}
			}
		}
	case "http":
		return httpHandlerProblems(watch["http_handler_config"])
	default:
		return []string{fmt.Sprintf("the handler_type is %q, but must be script or http", kind)}
	}
	return nil
}

func httpHandlerProblems(config any) []string {
	settings, ok := config.(map[string]any)
	if list, isList := config.([]any); isList && len(list) == 1 {
		settings, ok = list[0].(map[string]any)
	}
	if !ok {
		return []string{"a watch with handler_type http needs http_handler_config"}
	}
	var texts []string
	if path, _ := settings["path"].(string); !webAddress(path) {
		texts = append(texts, "http_handler_config.path must be a URL with http or https")
	}
	if timeout, ok := settings["timeout"]; ok {
		text, _ := timeout.(string)
		if _, err := time.ParseDuration(text); err != nil {
			texts = append(texts, "http_handler_config.timeout must be a duration such as \"10s\"")
		}
	}
	return texts
}
