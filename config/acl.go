package config

import "time"

// ACL is who may do what.
type ACL struct {
	Enabled             bool          `config:"enabled" debug:"ACLsEnabled"`                           // check tokens
	TokenReplication    bool          `config:"enable_token_replication" debug:"ACLTokenReplication"`  // on servers: copy tokens, and not policies and roles alone, from the primary datacenter
	PolicyTTL           time.Duration `config:"policy_ttl" debug:"ACLPolicyTTL"`                       // how long policies are cached
	RoleTTL             time.Duration `config:"role_ttl" debug:"ACLRoleTTL"`                           // how long roles are cached
	TokenTTL            time.Duration `config:"token_ttl" debug:"ACLTokenTTL"`                         // how long tokens are cached
	DownPolicy          string        `config:"down_policy" debug:"ACLDownPolicy"`                     // what holds while the servers, or the primary datacenter, cannot be asked
	DefaultPolicy       string        `config:"default_policy" debug:"ACLDefaultPolicy"`               // allow or deny what no rule speaks of
	KeyListPolicy       bool          `config:"enable_key_list_policy" debug:"ACLEnableKeyListPolicy"` // reading keys recursively needs the list permission
	Tokens              Tokens        `config:"tokens"`
	Persistence         bool          `config:"enable_token_persistence" debug:"ACLEnableTokenPersistence"` // keep tokens that are set over the API
	MSPDisableBootstrap bool          `config:"msp_disable_bootstrap"`                                      // refuse to bootstrap ACLs over the API
}

// Tokens are what the agent itself acts with.
type Tokens struct {
	InitialManagement string                   `config:"initial_management" debug:"ACLInitialManagementToken,secret"`                    // token that may do all, made at the first start
	Replication       string                   `config:"replication" debug:"ACLReplicationToken,secret"`                                 // token to copy ACLs and configuration entries from the primary datacenter with
	AgentRecovery     string                   `config:"agent_recovery" debug:"ACLAgentRecoveryToken,secret"`                            // token that this agent takes while no server can be asked
	Default           string                   `config:"default" debug:"ACLDefaultToken,secret"`                                         // token of requests that bring none
	Agent             string                   `config:"agent" debug:"ACLAgentToken,secret"`                                             // token of the agent's own work
	ConfigFile        string                   `config:"config_file_service_registration" debug:"ACLConfigFileRegistrationToken,secret"` // token to register services and checks of files with
	DNS               string                   `config:"dns" debug:"ACLDNSToken,secret"`                                                 // token of DNS requests
	ServiceProvider   []ManagedServiceProvider `config:"managed_service_provider"`                                                       // tokens of a provider that runs the cluster for others
}

// A ManagedServiceProvider is a token of who runs the cluster for others.
type ManagedServiceProvider struct {
	AccessorID string `config:"accessor_id"` // public name of the token
	SecretID   string `config:"secret_id"`   // the token
}

func defaultACL() ACL {
	return ACL{
		PolicyTTL: 30 * time.Second, TokenTTL: 30 * time.Second, DownPolicy: "extend-cache", DefaultPolicy: "allow",
	}
}

func (a *ACL) check(r *report) {
	r.oneOf("acl.default_policy", a.DefaultPolicy, "allow", "deny")
	r.oneOf("acl.down_policy", a.DownPolicy, "allow", "deny", "extend-cache", "async-cache")
	r.notNegative("acl.policy_ttl", a.PolicyTTL)
	r.notNegative("acl.role_ttl", a.RoleTTL)
	r.notNegative("acl.token_ttl", a.TokenTTL)
}
