package health

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"lictor/catalog"
)

// maxGRPCAnswer bounds the answer of a health service, which has a few bytes.
const maxGRPCAnswer = 64 << 10

// A grpcProber asks the standard health service about a service, or the whole server: SERVING is passing.
type grpcProber struct {
	target, address, service string                                  // target is address or address/service
	secure                   func() credentials.TransportCredentials // of one connection
	timeout                  time.Duration
}

func newGRPC(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &grpcProber{target: d.GRPC, timeout: timeout(d, DefaultTimeout), secure: insecure.NewCredentials}
	p.address, p.service, _ = strings.Cut(d.GRPC, "/")
	if d.GRPCUseTLS {
		p.secure = func() credentials.TransportCredentials { return credentials.NewTLS(env.tls(d)) }
	}
	return p, nil
}

func (p *grpcProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+p.address,
		grpc.WithTransportCredentials(p.secure()),
		grpc.WithUserAgent(userAgent),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxGRPCAnswer)))
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	a, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.service})
	if err != nil {
		return failed(err)
	}
	if a.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return critical(fmt.Sprintf("gRPC %s serving status: %s", p.target, a.Status))
	}
	return passing(fmt.Sprintf("gRPC check %s: success", p.target))
}
