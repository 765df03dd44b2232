package dnsserver

import (
	"context"
	"net"
	"net/netip"
)

type askerKey struct{}

// asking notes who has sent a question.
func asking(ctx context.Context, from net.Addr) context.Context {
	return context.WithValue(ctx, askerKey{}, from)
}

// askerOf is who has sent the question; the zero Addr if that is not known.
func askerOf(ctx context.Context) netip.Addr {
	switch from := ctx.Value(askerKey{}).(type) {
	case *net.UDPAddr:
		return from.AddrPort().Addr()
	case *net.TCPAddr:
		return from.AddrPort().Addr()
	}
	return netip.Addr{}
}
