GO ?= go
BIN := bin/lictor

.PHONY: build run test check bench fuzz crash clean

build: ## a static, stripped binary in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/lictor
run: build ## a server for development, in memory, on Consul's ports
	$(BIN) agent -dev -log-level=info
test: ## the quick tests
	$(GO) test ./...
check: ## gofmt, vet, staticcheck, errorlint
	.ci/lint
bench: ## benchmarks of the paths that matter
	$(GO) test -run '^$$' -bench . -benchmem ./...
fuzz: ## ten seconds for each fuzz test
	.ci/fuzz 10s
crash: build ## kill -9 under load, fifty times
	$(GO) test -count=1 -tags crash -timeout 30m ./internal/crash
clean:
	rm -rf bin
