package rpc

import "testing"

// The flags of a head come back as they were sent, and how far a call may go is bounded.
func TestHeadKeepsItsFlags(t *testing.T) {
	for hops := range uint8(MaxHops + 1) {
		for _, direct := range []bool{false, true} {
			h := head{Header: Header{Token: "t", Datacenter: "dc2", Direct: direct, Hops: hops}, method: "A.B"}
			if err := h.check(); err != nil {
				t.Fatal(err)
			}
			got, args, err := parseHead(h.append(nil), new(names))
			if err != nil || len(args) != 0 || got != h {
				t.Errorf("%+v became %+v, %v", h, got, err)
			}
		}
	}
	if err := (&head{Header: Header{Hops: MaxHops + 1}}).check(); err == nil {
		t.Error("a call may go on for ever")
	}
}
