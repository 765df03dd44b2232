package catalog

import "lictor/filter"

// A Filter decides by an expression that a client wrote which rows it gets.
type Filter[T any] = filter.Filter[T]

// NewFilter parses an expression; the empty one gives nil. The texts of its errors are those of Consul.
func NewFilter[T any](expression string) (*Filter[T], error) { return filter.New[T](expression) }

// CheckEntryFilter tells why an expression is no filter of instances with their checks.
func CheckEntryFilter(expression string) error {
	if expression == "" {
		return nil
	}
	_, err := filter.Parse[*Entry](expression)
	return err
}
