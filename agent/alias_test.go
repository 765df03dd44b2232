package agent

import (
	"strings"
	"testing"
)

// TestAliasOfServiceWithoutChecks follows services that come and go without any check changing, on this node and on
// another.
func TestAliasOfServiceWithoutChecks(t *testing.T) {
	for _, node := range []string{"", "other"} {
		t.Run("node "+node, func(t *testing.T) {
			noLeaks(t)
			s := start(t, t.TempDir())
			s.put("/v1/catalog/register", `{"Node": "other", "Address": "10.0.0.1"}`)
			s.put("/v1/agent/check/register", `{"ID": "alias", "Name": "alias", "AliasNode": "`+node+`", "AliasService": "web"}`)
			is := func(status string) func() bool {
				return func() bool { return strings.Contains(s.get("/v1/agent/checks"), `"Status":"`+status+`"`) }
			}
			s.eventually("a service that is not there is critical", is("critical"))
			for range 2 {
				if node == "" {
					s.put("/v1/agent/service/register", `{"Name": "web"}`)
				} else {
					s.put("/v1/catalog/register", `{"Node": "other", "Address": "10.0.0.1", "Service": {"ID": "web", "Service": "web"}}`)
				}
				s.eventually("the service is noticed", is("passing"))
				if node == "" {
					s.put("/v1/agent/service/deregister/web", "")
				} else {
					s.put("/v1/catalog/deregister", `{"Node": "other", "ServiceID": "web"}`)
				}
				s.eventually("that the service is gone is noticed", is("critical"))
			}
		})
	}
}
