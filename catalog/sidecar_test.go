package catalog

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSidecarsAreShownAsTheyCame(t *testing.T) {
	var c Connect
	if err := json.Unmarshal([]byte(`{"SidecarService": {"Port": 7, "Check": {"ID": "c", "TTL": "1s"}, "Proxy": {"Upstreams": [{"DestinationName": "db"}]}}}`), &c); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Port":7`, `"CheckID":"c"`, `"TTL":1000000000`, `"DestinationName":"db"`, `"H2PingUseTLS":false`, `"Tags":null`, `"Checks":null`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	if strings.Contains(string(b), `"Kind"`) || strings.Contains(string(b), `"ID":"c"`) {
		t.Errorf("got %s", b)
	}
	var again Connect
	if err := json.Unmarshal([]byte(`{"SidecarService": {"Nonsense": 1}}`), &again); err == nil {
		t.Error("an unknown field is accepted")
	}
	if err := json.Unmarshal([]byte(`{"SidecarService": null}`), &again); err != nil || again != (Connect{}) {
		t.Errorf("got %v, %v", again, err)
	}
	if b, _ := json.Marshal(again); string(b) != "{}" {
		t.Errorf("got %s", b)
	}
}
