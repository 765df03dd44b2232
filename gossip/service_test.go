package gossip

import (
	"context"
	"testing"
	"time"

	"lictor/acl"
)

// pair starts the LAN pool and the WAN pool of one server.
func pair(s *sim, change func(*Config)) *Service {
	s.t.Helper()
	lan := s.start(1, change)
	wan := s.start(2, func(c *Config) {
		change(c)
		c.Kind, c.NodeName, c.Tags.Server = WAN, "node1", true
	})
	return &Service{LAN: lan, WAN: wan, Datacenter: "dc1"}
}

func operate(s *sim, service *Service, r KeyringRequest) ([]KeyringAnswer, string) {
	s.t.Helper()
	answers, err := service.Keyring(context.Background(), acl.AllowAll(), &r)
	if err != nil {
		return answers, err.Error()
	}
	return answers, ""
}

func TestKeyringsOfBothPools(t *testing.T) {
	simulate(t, func(s *sim) {
		service := pair(s, encrypted(keyA, ""))
		time.Sleep(time.Second)
		for _, op := range []KeyringOperation{InstallKey, UseKey} {
			if _, text := operate(s, service, KeyringRequest{Operation: op, Key: keyB}); text != "" {
				t.Fatal(text)
			}
		}
		answers, text := operate(s, service, KeyringRequest{Operation: ListKeys, RelayFactor: 2})
		if text != "" || len(answers) != 2 || !answers[0].WAN || answers[1].WAN {
			t.Fatal(answers, text)
		}
		for _, a := range answers {
			if a.Keys[keyA] != 1 || a.PrimaryKeys[keyB] != 1 || len(a.PrimaryKeys) != 1 || a.NumNodes != 1 || a.Datacenter != "dc1" {
				t.Errorf("%+v", a)
			}
		}
		if answers, text = operate(s, service, KeyringRequest{Operation: ListKeys, LocalOnly: true}); len(answers) != 1 || answers[0].WAN {
			t.Error(answers, text)
		}
		const primary = "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* node1.dc1: Removing the primary key is not allowed" +
			"\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* node1: Removing the primary key is not allowed\n\n"
		if _, text = operate(s, service, KeyringRequest{Operation: RemoveKey, Key: keyB}); text != primary {
			t.Error(text)
		}
		service.WAN = nil
		const alone = "1 error occurred:\n\t* dc1 (LAN) error: illegal base64 data at input byte 4\n\n"
		if _, text = operate(s, service, KeyringRequest{Operation: InstallKey, Key: "short"}); text != alone {
			t.Error(text)
		}
		if _, text = operate(s, service, KeyringRequest{Operation: "steal"}); text == "" {
			t.Error("an unknown operation is carried out")
		}
	})
}

func TestKeyringWithoutKeysOrPermission(t *testing.T) {
	simulate(t, func(s *sim) {
		service := pair(s, func(*Config) {})
		time.Sleep(time.Second)
		const empty = "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* node1.dc1: Keyring is empty (encryption not enabled)" +
			"\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* node1: Keyring is empty (encryption not enabled)\n\n"
		if _, text := operate(s, service, KeyringRequest{Operation: ListKeys}); text != empty {
			t.Error(text)
		}
		for _, op := range []KeyringOperation{ListKeys, InstallKey, UseKey, RemoveKey} {
			if _, err := service.Keyring(context.Background(), acl.DenyAll(), &KeyringRequest{Operation: op, Key: keyB}); err == nil {
				t.Errorf("a stranger may %s", op)
			}
		}
	})
}
