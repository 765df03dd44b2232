package agent

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lictor/gossip"
	"lictor/rpc"
)

// serverMember is a server as gossip tells of it.
func serverMember(i int) gossip.Member {
	return gossip.Member{Name: fmt.Sprintf("s%d", i), Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Status: gossip.StatusAlive, Ours: true,
		Meta: gossip.Tags{Server: true, ID: fmt.Sprintf("id-%d", i), Ports: gossip.Ports{Server: 8300}}}
}

func nowhere(string) time.Duration { return 0 }

func TestRosterFollowsServers(t *testing.T) {
	r := newRoster("me", nowhere)
	client := serverMember(9)
	client.Meta.Server = false
	foreign := serverMember(8)
	foreign.Ours = false
	r.set([]gossip.Member{serverMember(1), client, foreign})
	if all := r.all(); len(all) != 1 || all[0] != (rpc.Target{ID: "id-1", Address: "10.0.0.1:8300"}) {
		t.Fatalf("%v", all)
	}
	changed := r.next()
	r.note(serverMember(2), true)
	select {
	case <-changed:
	default:
		t.Error("a new server wakes nobody")
	}
	moved := serverMember(1)
	moved.Addr = netip.AddrFrom4([4]byte{10, 0, 1, 1})
	if gone := r.note(moved, true); len(gone) != 1 || gone[0].Address != "10.0.0.1:8300" {
		t.Errorf("the old address is not given up: %v", gone)
	}
	if gone := r.note(moved, false); len(gone) != 1 || gone[0].Address != "10.0.1.1:8300" {
		t.Errorf("%v", gone)
	}
	if _, ok := r.find("id-1"); ok {
		t.Error("a server that failed is still asked")
	}
	if _, ok := r.find("id-2"); !ok {
		t.Error("the other server is not found")
	}
}

// Many agents spread over the servers, and few move when a server comes.
func TestRosterSpreads(t *testing.T) {
	const agents = 3000
	count, moved := map[string]int{}, 0
	for i := range agents {
		r := newRoster(fmt.Sprintf("agent-%d", i), nowhere)
		r.set([]gossip.Member{serverMember(1), serverMember(2), serverMember(3)})
		before, _ := r.best()
		count[before.ID]++
		r.note(serverMember(4), true)
		if after, _ := r.best(); after != before {
			moved++
		}
	}
	for id, n := range count {
		if n < agents/3*8/10 || n > agents/3*12/10 {
			t.Errorf("%s has %d of %d agents", id, n, agents)
		}
	}
	if moved < agents/4*8/10 || moved > agents/4*12/10 {
		t.Errorf("%d of %d agents move to a fourth server", moved, agents)
	}
}

func TestRosterPrefersTheNear(t *testing.T) {
	r := newRoster("me", func(name string) time.Duration {
		if name == "s2" {
			return time.Millisecond
		}
		return 20 * time.Millisecond
	})
	r.set([]gossip.Member{serverMember(1), serverMember(2), serverMember(3)})
	if best, _ := r.best(); best.ID != "id-2" {
		t.Errorf("%v", best)
	}
}

func TestRosterShuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoster("me", nowhere)
		r.set([]gossip.Member{serverMember(1), serverMember(2)})
		first, _ := r.best()
		r.shun(first.ID)
		second, _ := r.best()
		if second == first || !r.isShunned(first.ID) {
			t.Errorf("%v is asked again at once", first)
		}
		time.Sleep(time.Second)
		r.shun(second.ID)
		if best, ok := r.best(); !ok || best != first {
			t.Errorf("of two that failed, %v is asked, and not the one that failed first", best)
		}
		time.Sleep(shunned + time.Millisecond)
		if best, _ := r.best(); best != first {
			t.Errorf("%v", best)
		}
	})
}
