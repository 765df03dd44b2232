package config

import (
	"net"
	"testing"
)

const loopbackTemplate = `{{ GetAllInterfaces | include \"name\" \"lo\" | include \"type\" \"IPv4\" | attr \"address\" }}`

func TestEndpoints(t *testing.T) {
	for _, row := range []struct {
		text string
		want func(e *Endpoints) any
		is   any
	}{
		{`client_addr = "127.0.0.1 127.0.0.2"`, func(e *Endpoints) any { return e.HTTP },
			[]Listen{{"tcp", "127.0.0.1:8500"}, {"tcp", "127.0.0.2:8500"}}},
		{`addresses { http = "127.0.0.3 unix:///s" }`, func(e *Endpoints) any { return e.HTTP },
			[]Listen{{"unix", "/s"}, {"tcp", "127.0.0.3:8500"}}},
		{`ports { dns = -1 }`, func(e *Endpoints) any { return len(e.DNS) }, 0},
		{`bind_addr = "` + loopbackTemplate + `"`, func(e *Endpoints) any { return e.Bind.String() }, "127.0.0.1"},
		{``, func(e *Endpoints) any { return e.SerfAdvertiseLAN.String() }, "10.1.2.3:8301"},
		{``, func(e *Endpoints) any { return e.SerfBindLAN.String() }, "0.0.0.0:8301"},
		{``, func(e *Endpoints) any { return e.SerfBindWAN.IsValid() }, false},
		{`server = true`, func(e *Endpoints) any { return e.SerfAdvertiseWAN.String() }, "10.1.2.3:8302"},
		{`server = true serf_wan = "127.0.0.9" ports { serf_wan = 9 }`, func(e *Endpoints) any { return e.SerfBindWAN.String() }, "127.0.0.9:9"},
		{`advertise_addr = "1.2.3.4" advertise_addr_wan = "5.6.7.8"`, func(e *Endpoints) any { return e.Tagged },
			map[string]string{"lan": "1.2.3.4", "lan_ipv4": "1.2.3.4", "wan": "5.6.7.8", "wan_ipv4": "5.6.7.8"}},
		{`advertise_addr_ipv4 = "1.2.3.4" advertise_addr_ipv6 = "2001:db8::1" tagged_addresses { x = "y" }`, func(e *Endpoints) any { return e.Tagged },
			map[string]string{"lan": "1.2.3.4", "lan_ipv4": "1.2.3.4", "lan_ipv6": "2001:db8::1", "wan": "1.2.3.4", "wan_ipv4": "1.2.3.4", "x": "y"}},
		{`bind_addr = "[::1]"`, func(e *Endpoints) any { return e.RPCAdvertise.String() }, "[::1]:8300"},
	} {
		l, err := loadText(t, "a.hcl", row.text+` data_dir = "/x"`)
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		checkEqual(t, row.text, row.want(&l.Config.Network.Endpoints), row.is)
	}
}

func TestDetect(t *testing.T) {
	for _, row := range []struct {
		bind  string
		addrs []string
		want  string
		fails string
	}{
		{"0.0.0.0", []string{"127.0.0.1/8", "10.0.0.1/8"}, "10.0.0.1", ""},
		{"0.0.0.0", []string{"8.8.8.8/24", "10.0.0.1/8"}, "10.0.0.1", ""},
		{"0.0.0.0", []string{"8.8.8.8/24"}, "8.8.8.8", ""},
		{"0.0.0.0", []string{"10.0.0.1/8", "192.168.0.1/24"}, "", "several addresses: 10.0.0.1, 192.168.0.1"},
		{"0.0.0.0", []string{"127.0.0.1/8"}, "127.0.0.1", ""},
		{"::", []string{"127.0.0.1/8", "fe80::1/64", "2001:db8::5/64", "fd00::1/64"}, "2001:db8::5", ""},
		{"::", []string{"2001:db8::5/64", "2001:db8::6/64"}, "", "several addresses"},
	} {
		l, err := Load(Options{
			Fragments: []string{`data_dir = "/x" bind_addr = "` + row.bind + `"`}, Hostname: "h",
			Interfaces: func() ([]net.Addr, error) { return networks(row.addrs...) },
		})
		checkError(t, row.bind, err, row.fails)
		if err == nil {
			checkEqual(t, row.bind, l.Config.Network.Endpoints.Advertise.String(), row.want)
		}
	}
}
