package backup

import (
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// searched finds a key where programs of Amazon's look for one. Unlike the library's chain it fails where there is none: a
// request without a signature may be taken, by a bucket that everybody may write to. The library guards it.
type searched struct {
	places  []credentials.Provider
	current credentials.Provider // that the key is from, nil before there is one
}

// searchKeys looks in the environment, in ~/.aws/credentials, and asks the machine.
func searchKeys() *credentials.Credentials {
	return credentials.New(&searched{places: []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}}})
}

// RetrieveWithCredContext implements credentials.Provider.
func (s *searched) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var failed []error
	for _, p := range s.places {
		v, err := p.RetrieveWithCredContext(cc)
		if v.AccessKeyID != "" && v.SecretAccessKey != "" {
			s.current = p
			return v, nil
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return credentials.Value{}, fmt.Errorf("there is no key: access_key_id is not set, and none is found in the environment, "+
		"in ~/.aws/credentials or with the machine: %w", errors.Join(failed...))
}

// Retrieve implements credentials.Provider.
func (s *searched) Retrieve() (credentials.Value, error) { return s.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (s *searched) IsExpired() bool { return s.current == nil || s.current.IsExpired() }
