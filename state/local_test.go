package state_test

import (
	"context"
	"errors"
	"testing"

	"lictor/state"
)

// An adopt inserts a pet and may fail after that.
type adopt struct {
	pet
	pets *state.Table[pet]
	fail error
}

func (a *adopt) Apply(tx *state.Tx) (any, error) {
	a.pets.Insert(tx, &a.pet)
	return tx.Index(), a.fail
}

type isolatedAdopt struct{ adopt }

func (*isolatedAdopt) Isolated() {}

func TestLocal(t *testing.T) {
	pets := newPets()
	log, err := state.NewLocal(10, pets)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := log.Apply(t.Context(), &adopt{pet{Name: "rex"}, pets, nil}); got != uint64(10) || err != nil {
		t.Errorf("the first command: %v, %v", got, err)
	}
	failed := errors.New("no room")
	if _, err := log.Apply(t.Context(), &isolatedAdopt{adopt{pet{Name: "tom"}, pets, failed}}); !errors.Is(err, failed) {
		t.Errorf("an isolated command that fails: %v", err)
	}
	if got, err := log.Apply(t.Context(), &isolatedAdopt{adopt{pet{Name: "kim"}, pets, nil}}); got != uint64(12) || err != nil {
		t.Errorf("an isolated command: %v, %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Apply(ended, &adopt{pet{Name: "zoe"}, pets, nil}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	meta, err := state.Read(t.Context(), log, state.ReadOptions{}, func(tx *state.Tx) error {
		if got := names(pets.All(tx)); got != "kim rex" {
			t.Errorf("the log has left %q", got)
		}
		return failed
	})
	if !meta.KnownLeader || !errors.Is(err, failed) {
		t.Errorf("%+v, %v", meta, err)
	}
	if _, err := state.NewLocal(1, pets, pets); err == nil {
		t.Error("two tables of one name are accepted")
	}
}

// A command that panics has changed nothing, and the next one is applied.
func TestLocalOutlivesACommand(t *testing.T) {
	pets := newPets()
	log, err := state.NewLocal(1, pets)
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a pet without a name is taken")
			}
		}()
		log.Apply(t.Context(), &adopt{pet{}, pets, nil})
	}()
	if _, err := log.Apply(t.Context(), &adopt{pet{Name: "rex"}, pets, nil}); err != nil || names(pets.All(log.DB().Read())) != "rex" {
		t.Errorf("after it: %v", err)
	}
}
