package backup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// searched finds a key where programs of Amazon's look for one. Unlike the library's chain it fails where there is none: a
// request without a signature may be taken, by a bucket that everybody may write to. The library guards it.
type searched struct {
	places  []place
	current credentials.Provider // that the key is from, nil before there is one
}

// A place may have a key.
type place struct {
	name string // as errors tell it
	keys credentials.Provider
}

// searchKeys looks in the environment, in ~/.aws/credentials, and asks the machine.
func searchKeys() *credentials.Credentials {
	return credentials.New(&searched{places: []place{{"the environment", &credentials.EnvAWS{}}, {"the file of credentials", &credentials.FileAWSCredentials{}}, {"the machine", &credentials.IAM{}}}})
}

// RetrieveWithCredContext implements credentials.Provider.
func (s *searched) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var none []string
	for _, p := range s.places {
		v, err := p.keys.RetrieveWithCredContext(cc)
		if v.AccessKeyID != "" && v.SecretAccessKey != "" {
			s.current = p.keys
			return v, nil
		}
		if err == nil {
			err = errors.New("nothing")
		}
		none = append(none, fmt.Sprintf("%s: %v", p.name, err))
	}
	return credentials.Value{}, fmt.Errorf("there is no key: access_key_id is not set, and other places have none (%s)", strings.Join(none, "; "))
}

// Retrieve implements credentials.Provider.
func (s *searched) Retrieve() (credentials.Value, error) { return s.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (s *searched) IsExpired() bool { return s.current == nil || s.current.IsExpired() }
