# One server, alone, for this host. `lictor validate dist/example` checks this directory; docs/config.md has all keys.
server           = true
bootstrap_expect = 1
datacenter       = "dc1"
data_dir         = "/var/lib/lictor"
bind_addr        = "127.0.0.1" # what other agents reach; gossip and RPC are neither encrypted nor authenticated yet
client_addr      = "127.0.0.1" # HTTP 8500 and DNS 8600; 0.0.0.0 opens both to everybody

log_level = "INFO"
ui_config { enabled = true }

# Checks that are commands: only those in configuration files, never those that come over HTTP.
enable_local_script_checks = true

dns_config {
  service_ttl { "*" = "0s" } # how long resolvers may keep an answer about a service
}
