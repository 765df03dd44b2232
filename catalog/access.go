package catalog

import "lictor/acl"

// MayRegister asks for the access that Register asks for, of registrations that come another way. It changes r only by
// what its node leaves out.
func (s *Service) MayRegister(az acl.Authorizer, r *Register) error { return s.mayRegister(az, r) }

// MayDeregister asks for the access that Deregister asks for, of removals that come another way.
func (s *Service) MayDeregister(az acl.Authorizer, d *Deregister) error {
	return s.mayDeregister(az, d)
}
