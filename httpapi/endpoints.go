package httpapi

import "slices"

// An Endpoint is a path of the API with its methods, in the order of the Allow header. A path that ends in a slash
// takes all that is below it.
type Endpoint struct {
	Path    string
	Methods []string
}

// Endpoints lists all paths of the API.
func Endpoints() []Endpoint {
	all := make([]Endpoint, len(routes))
	for i, rt := range routes {
		all[i] = Endpoint{Path: rt.path, Methods: slices.Clone(rt.methods)}
	}
	return all
}
