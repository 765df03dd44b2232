package query

import (
	"lictor/session"
	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Set writes a query over the one with the same ID, if there is one. The ID is settled before.
type Set struct{ Query Query }

// Apply answers nothing. It fails, and has changed nothing, if the name is taken, the session is not there or the
// template cannot be used.
func (s *Set) Apply(tx *state.Tx) (any, error) {
	q := s.Query
	old := Queries.Get(tx, q.ID)
	if err := q.admissible(tx); err != nil {
		return nil, err
	}
	q.CreateIndex, q.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		q.CreateIndex = old.CreateIndex
	}
	Queries.Insert(tx, &q)
	return nil, nil
}

func (q *Query) admissible(tx *state.Tx) error {
	if q.Name != "" {
		if other := Queries.First(tx, "name", fold(q.Name)); other != nil && other.ID != q.ID {
			return refuse("name '%s' aliases an existing query name", q.Name)
		}
		if validID(q.Name) == nil && Queries.Get(tx, q.Name) != nil {
			return refuse("Name: %q is the ID of another query; allowed is a name that is no query's ID", q.Name)
		}
	} else if q.isTemplate() {
		if other := Queries.First(tx, "template", fold("")); other != nil && other.ID != q.ID {
			return refuse("Name: there is a template with an empty name; one is allowed")
		}
	}
	if q.Session != "" && session.Find(tx, q.Session) == nil {
		return refuse("invalid session %q", q.Session)
	}
	if q.isTemplate() {
		if err := q.compile(); err != nil {
			return refuse("failed compiling template: %v", err)
		}
	}
	return nil
}

// A Delete removes a query, if it is there.
type Delete struct{ ID string }

// Apply answers nothing.
func (d *Delete) Apply(tx *state.Tx) (any, error) {
	if q := Queries.Get(tx, d.ID); q != nil {
		Queries.Delete(tx, q)
	}
	return nil, nil
}
