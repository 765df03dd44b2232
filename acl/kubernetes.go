package acl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lictor/claims"
)

// kubernetesConfig is the configuration of an auth method of type kubernetes.
type kubernetesConfig struct {
	Host              string // address of its API
	CACert            string // certificates to trust, in PEM
	ServiceAccountJWT string // token that may review others and read service accounts
}

// kubernetesFields are what selectors may name.
type kubernetesFields struct {
	ServiceAccount serviceAccount `bexpr:"serviceaccount"`
}

type serviceAccount struct {
	Namespace string `bexpr:"namespace"`
	Name      string `bexpr:"name"`
	UID       string `bexpr:"uid"`
}

// A kubernetesVerifier lets Kubernetes check the tokens of service accounts.
type kubernetesVerifier struct {
	config kubernetesConfig
	client *claims.Client
}

func newKubernetes(text Document) (verifier, error) {
	v := &kubernetesVerifier{}
	c := &v.config
	if err := readConfig(text, c); err != nil {
		return nil, err
	}
	switch {
	case c.Host == "":
		return nil, refuse("Invalid Auth Method: Config.Host is required")
	case c.CACert == "":
		return nil, refuse("Invalid Auth Method: Config.CACert is required")
	case c.ServiceAccountJWT == "":
		return nil, refuse("Invalid Auth Method: Config.ServiceAccountJWT is required")
	case strings.ContainsAny(c.ServiceAccountJWT, "\r\n"):
		return nil, refuse("Invalid Auth Method: Config.ServiceAccountJWT is not a valid JWT: it has more than one line")
	}
	if u, err := url.Parse(c.Host); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, refuse("Invalid Auth Method: Config.Host must be an address that begins with https://")
	}
	var err error
	if v.client, err = claims.NewClient(c.CACert); err != nil {
		return nil, refuse("Invalid Auth Method: error parsing kubernetes ca cert: %s", err)
	}
	return v, nil
}

func (v *kubernetesVerifier) names() []string {
	return []string{"serviceaccount.namespace", "serviceaccount.name", "serviceaccount.uid"}
}

// serviceNameAnnotation names an account's service where that is not the account's own name.
const serviceNameAnnotation = "consul.hashicorp.com/service-name"

// A tokenReview is a question to Kubernetes and its answer.
type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token string `json:"token"`
	} `json:"spec"`
	Status struct {
		Authenticated bool   `json:"authenticated"`
		Error         string `json:"error"`
		User          struct {
			Username string `json:"username"`
			UID      string `json:"uid"`
		} `json:"user"`
	} `json:"status"`
}

func (v *kubernetesVerifier) verify(ctx context.Context, bearer string) (*proof, error) {
	if len(bearer) > claims.MaxToken {
		return nil, fmt.Errorf("the token is longer than %d bytes", claims.MaxToken)
	}
	review := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
	review.Spec.Token = bearer
	if err := v.ask(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", &review, &review); err != nil {
		return nil, err
	}
	switch {
	case review.Status.Error != "":
		return nil, fmt.Errorf("lookup failed: %s", review.Status.Error)
	case !review.Status.Authenticated:
		return nil, errors.New("lookup failed: service account jwt not valid")
	}
	parts := strings.Split(review.Status.User.Username, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return nil, errors.New("lookup failed: unexpected username format")
	}
	account := serviceAccount{Namespace: parts[2], Name: parts[3], UID: review.Status.User.UID}
	var stored struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	path := "/api/v1/namespaces/" + url.PathEscape(account.Namespace) + "/serviceaccounts/" + url.PathEscape(account.Name)
	if err := v.ask(ctx, http.MethodGet, path, nil, &stored); err != nil {
		return nil, fmt.Errorf("annotation lookup failed: %w", err)
	}
	if name := stored.Metadata.Annotations[serviceNameAnnotation]; name != "" {
		account.Name = name
	}
	return &proof{keeps: keeper(kubernetesFields{account}), values: map[string]string{
		"serviceaccount.namespace": account.Namespace, "serviceaccount.name": account.Name, "serviceaccount.uid": account.UID}}, nil
}

// ask makes a request of the API of Kubernetes.
func (v *kubernetesVerifier) ask(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(v.config.Host, "/")+path, &body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+v.config.ServiceAccountJWT)
	r.Header.Set("Content-Type", "application/json")
	return v.client.Do(r, out)
}
