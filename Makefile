GO ?= go
BIN := bin/lictor

.PHONY: build run cluster federation test check bench fuzz crash chaos federation-test soak siege sim clean

build: ## a static, stripped binary in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/lictor
run: build ## a server for development, in memory, on Consul's ports
	$(BIN) agent -dev -log-level=info
cluster: build ## three servers and a client on loopback
	dist/cluster $(BIN)
federation: build ## two datacenters of a server and a client each on loopback
	dist/federation $(BIN)
test: ## the quick tests
	$(GO) test ./...
check: ## gofmt, vet, staticcheck, errorlint
	.ci/lint
bench: ## benchmarks of the paths that matter
	$(GO) test -run '^$$' -bench . -benchmem ./...
fuzz: ## ten seconds for each fuzz test
	.ci/fuzz 10s
crash: build ## kill -9 under load: fifty times a server, two hundred times a leader, thirty times one of an encrypted cluster; full disks
	$(GO) test -count=1 -tags crash -timeout 30m ./internal/crash
chaos: build ## five minutes of cuts, pauses, kills and transfers under watch; needs root, iproute2 and iptables
	$(GO) test -v -count=1 -tags chaos -timeout 60m -run 'Chaos|Network|Sweep' ./internal/chaos
federation-test: build ## datacenters over links that are slow, lose packets and are cut, and whose clocks differ: six minutes; needs root, iproute2 and TUN devices
	$(GO) test -v -count=1 -tags chaos -timeout 15m -run Federation ./internal/chaos
soak: build ## an hour of locks and sessions, a leader killed every minute; SOAK_TIME=10m for less
	$(GO) test -v -count=1 -tags soak -timeout 25h -run TestSoak ./internal/soak
siege: build ## what users of each port notice of attacks on it; SIEGE_RUN, SIEGE_ROUNDS and SIEGE_TIME for less or more
	$(GO) test -v -count=1 -tags siege -timeout 2h ./internal/siege
sim: ## a thousand members of a gossip pool, and a WAN of 20 datacenters, in one process: about ten minutes
	$(GO) test -count=1 -tags sim -timeout 60m -run TestScale -v ./gossip
clean:
	rm -rf bin
