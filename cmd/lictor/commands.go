package main

// commands is THE list of commands, groups before what belongs to them.
func commands() []command {
	return []command{
		{name: "", about: "Lictor is an agent that keeps a service catalog, health checks and a key/value store, and this is its command line. " +
			"It understands the commands, flags and environment variables of Consul 1.21."},
		{name: "agent", args: "[flags]", about: "Run an agent, as a server or as a client of the servers. It runs until it is told to leave or stop.",
			example: "lictor agent -dev", new: newAgentCommand, daemon: true},
		{name: "version", args: "[flags]", about: "Print the version.", example: "lictor version -format=json", new: newVersion},
		{name: "validate", args: "[flags] FILE-OR-DIRECTORY...", about: "Check configuration files as the agent would read them. Nothing is started.",
			example: "lictor validate /etc/lictor.d", new: newValidate, files: true},
		{name: "info", args: "[flags]", about: "Print figures about the running agent.", example: "lictor info", new: newInfo},

		{name: "members", args: "[flags]", about: "List the members of the cluster. The exit code is 2 if none matches.",
			example: "lictor members -status=alive", new: newMembers},
		{name: "join", args: "[flags] ADDRESS...", about: "Make the agent join the cluster that the agents at some addresses belong to.",
			example: "lictor join 10.0.0.2", new: newJoin},
		{name: "force-leave", args: "[flags] NODE", about: "Declare a failed member to have left. A member that still runs will come back.",
			example: "lictor force-leave -prune node2", new: newForceLeave},
		{name: "leave", args: "[flags]", about: "Make the agent leave the cluster and stop.", example: "lictor leave", new: newLeave},
		{name: "reload", args: "[flags]", about: "Make the agent read its configuration files again.", example: "lictor reload", new: newReload},
		{name: "maint", args: "[flags]", about: "Show, enter or end maintenance of the node or of one service. What is in maintenance is not found by DNS.",
			example: "lictor maint -enable -service=web1 -reason='new disk'", new: newMaint},
		{name: "monitor", args: "[flags]", about: "Print the agent's log as it is written, until interrupted.",
			example: "lictor monitor -log-level=debug", new: newMonitor},
		{name: "debug", args: "[flags]", about: "Record what the agent and its cluster do for a while, and pack it for whoever is to find a fault. " +
			"Profiles are recorded only if the agent has enable_debug set.", example: "lictor debug -duration=1m -capture=agent -capture=logs", new: newDebug},
		{name: "event", args: "[flags] -name=NAME [PAYLOAD]", about: "Send a user event to the members of the datacenter.",
			example: "lictor event -name=deploy -service=web 1.2.3", new: newEvent},
		{name: "rtt", args: "[flags] NODE [NODE]", about: "Estimate the round-trip time between two nodes. The second is the agent's own unless it is given.",
			example: "lictor rtt node1 node2", new: newRTT},

		{name: "lock", args: "[flags] PREFIX COMMAND...", about: "Run a command while holding a lock, so that of all who name the same prefix one at a time runs. " +
			"The command is ended if the lock is lost.", example: "lictor lock service/backup ./backup.sh\nlictor lock -n=3 -try=10s service/work ./work.sh", new: newLock, daemon: true},
		{name: "watch", args: "[flags] -type=TYPE [COMMAND...]", about: "Follow something in the agent's state and run a command for each change, with the state as JSON on its standard input. " +
			"Without a command the state is printed once.", example: "lictor watch -type=key -key=app/color cat\nlictor watch -type=service -service=web -passingonly", new: newWatch},

		{name: "keygen", about: "Print a new key for the encryption of gossip.", example: "lictor keygen", new: newKeygen},
		{name: "keyring", args: "[flags]", about: "List, install, use or remove keys for the encryption of gossip, on all members at once.",
			example: "lictor keyring -list", new: newKeyring},

		{name: "kv", about: "Read and write keys and values."},
		{name: "kv delete", args: "[flags] KEY-OR-PREFIX", about: "Delete a key, or all keys below a prefix.", example: "lictor kv delete -recurse app/", new: newKVDelete},
		{name: "kv export", args: "[flags] [PREFIX]", about: "Print all keys below a prefix as JSON that kv import reads.",
			example: "lictor kv export app/ > app.json", new: newKVExport},
		{name: "kv get", args: "[flags] [KEY-OR-PREFIX]", about: "Print the value of a key, or list what is below a prefix.",
			example: "lictor kv get -detailed app/color\nlictor kv get -keys app/", new: newKVGet},
		{name: "kv import", args: "[flags] DATA", about: "Write keys as kv export has printed them. DATA is JSON, @ and the name of a file, or - for standard input.",
			example: "lictor kv import -prefix=copy @app.json", new: newKVImport, files: true},
		{name: "kv put", args: "[flags] KEY [VALUE]", about: "Write a value to a key. VALUE is the text itself, @ and the name of a file, or - for standard input.",
			example: "lictor kv put app/color red\nlictor kv put -cas -modify-index=42 app/color blue", new: newKVPut, files: true},

		{name: "catalog", about: "Look into the catalog of nodes and services."},
		{name: "catalog datacenters", args: "[flags]", about: "List the datacenters that are known.", example: "lictor catalog datacenters", new: newCatalogDatacenters},
		{name: "catalog nodes", args: "[flags]", about: "List nodes.", example: "lictor catalog nodes -service=web -near=_agent", new: newCatalogNodes},
		{name: "catalog services", args: "[flags]", about: "List the names of services.", example: "lictor catalog services -tags", new: newCatalogServices},
		{name: "services", about: "Register services with the agent, and remove them."},
		{name: "services deregister", args: "[flags] [FILE...]", about: "Remove services from the agent, by id or as files name them.",
			example: "lictor services deregister -id=web1", new: newServicesDeregister, files: true},
		{name: "services register", args: "[flags] [FILE...]", about: "Register services with the agent, from flags or from configuration files.",
			example: "lictor services register web.hcl\nlictor services register -name=web -port=80 -tag=v1", new: newServicesRegister, files: true},

		{name: "config", about: "Read and write configuration entries: what holds for services, gateways, intentions and the mesh."},
		{name: "config delete", args: "[flags]", about: "Delete a configuration entry, named by flags or by the file it was written from.",
			example: "lictor config delete -kind=service-defaults -name=web", new: newConfigDelete, files: true},
		{name: "config list", args: "[flags]", about: "List the names of the configuration entries of a kind.",
			example: "lictor config list -kind=service-defaults", new: newConfigList},
		{name: "config read", args: "[flags]", about: "Print a configuration entry as JSON.",
			example: "lictor config read -kind=service-defaults -name=web", new: newConfigRead},
		{name: "config write", args: "[flags] FILE", about: "Write a configuration entry from a file in HCL or JSON, or from standard input if FILE is -.",
			example: "lictor config write web.hcl", new: newConfigWrite, files: true},

		{name: "operator", about: "Tools for those who run the cluster."},
		{name: "operator autopilot", about: "Look into autopilot, which keeps the set of servers healthy, and configure it."},
		{name: "operator autopilot get-config", args: "[flags]", about: "Print autopilot's configuration.",
			example: "lictor operator autopilot get-config", new: newAutopilotGetConfig},
		{name: "operator autopilot set-config", args: "[flags]", about: "Change autopilot's configuration. What is not named stays.",
			example: "lictor operator autopilot set-config -cleanup-dead-servers=false", new: newAutopilotSetConfig},
		{name: "operator autopilot state", args: "[flags]", about: "Print how healthy autopilot finds the servers.",
			example: "lictor operator autopilot state -format=json", new: newAutopilotState},
		{name: "operator raft", about: "Look into the group of servers that keep the state, and change it."},
		{name: "operator raft list-peers", args: "[flags]", about: "List the servers that keep the state.", example: "lictor operator raft list-peers", new: newRaftListPeers},
		{name: "operator raft recover", args: "[flags] -data-dir=DIRECTORY", about: "Recover a cluster that has lost its quorum for good: make the stopped server whose data directory " +
			"this is, and others that are treated alike, the servers of the cluster. It prints what it will do and asks first.",
			example: "lictor operator raft recover -data-dir=/var/lib/lictor -server=adf4238a-882b-9ddc-4a9d-5b6758e4159e=10.0.0.1:8300", new: newRaftRecover, files: true},
		{name: "operator raft remove-peer", args: "[flags]", about: "Remove a server that is gone for good and was not removed by itself.",
			example: "lictor operator raft remove-peer -address=10.0.0.3:8300", new: newRaftRemovePeer},
		{name: "operator raft transfer-leader", args: "[flags]", about: "Hand leadership to another server.",
			example: "lictor operator raft transfer-leader", new: newRaftTransferLeader},
		{name: "operator usage", about: "Count what the cluster holds."},
		{name: "operator usage instances", args: "[flags]", about: "Count services, their instances and nodes.",
			example: "lictor operator usage instances -all-datacenters", new: newUsageInstances},

		{name: "snapshot", about: "Save, restore and inspect snapshots of the servers' state."},
		{name: "snapshot agent", args: "[flags]", about: "Tell how automatic backups are made: the server that leads makes them, as the section snapshot_agent of its configuration says. No other process is needed.",
			example: "lictor snapshot agent", new: newSnapshotAgent, files: true},
		{name: "snapshot decode", args: "[flags] FILE", about: "Print the rows of a snapshot as JSON, one a line. FILE may be - for standard input. " +
			"Secrets are printed, too.", example: "lictor snapshot decode backup.snap", new: newSnapshotDecode, files: true},
		{name: "snapshot inspect", args: "[flags] FILE", about: "Print what a snapshot holds.", example: "lictor snapshot inspect backup.snap", new: newSnapshotInspect, files: true},
		{name: "snapshot restore", args: "[flags] FILE", about: "Replace the servers' state by that of a snapshot.",
			example: "lictor snapshot restore backup.snap", new: newSnapshotRestore, files: true},
		{name: "snapshot save", args: "[flags] FILE", about: "Save the servers' state to a file.", example: "lictor snapshot save backup.snap", new: newSnapshotSave, files: true},

		{name: "init", args: "[flags]", about: "Write the files of a new cluster that is closed to strangers: an authority, certificates, a key of gossip, and a configuration for each agent " +
			"in which everything is encrypted and nothing is allowed without a token.", example: "lictor init -servers=3 -clients=2 -address=10.0.0.1 -address=10.0.0.2 -address=10.0.0.3", new: newInit},
		{name: "check-security", args: "[flags]", about: "List what of the running agent is open to more people than it has to, and the configuration that closes it. The exit code is 1 if anything is open.",
			example: "lictor check-security", new: newCheckSecurity},
		{name: "tls", about: "Make certificates for agents and for the command line."},
		{name: "tls ca", about: "Make an authority that signs certificates."},
		{name: "tls ca create", args: "[flags]", about: "Make an authority, in two files of the working directory. Keep its key where no agent runs.",
			example: "lictor tls ca create -domain=consul", new: newTLSCACreate},
		{name: "tls cert", about: "Make certificates."},
		{name: "tls cert create", args: "[flags] -server|-client|-cli", about: "Make a certificate that an authority signs, and its key, in two files of the working directory.",
			example: "lictor tls cert create -server -dc=dc1\nlictor tls cert create -cli", new: newTLSCertCreate},
	}
}
