package config

import (
	"reflect"
	"slices"
	"strings"

	"lictor/certs"
)

// TLS is encryption by certificates, for each protocol.
type TLS struct {
	Defaults    TLSProtocol `config:"defaults" debug:"Defaults"`
	InternalRPC TLSProtocol `config:"internal_rpc" debug:"InternalRPC"`
	HTTPS       TLSProtocol `config:"https" debug:"HTTPS"`
	GRPC        TLSProtocol `config:"grpc" debug:"GRPC"`
}

// TLSProtocol is encryption of one protocol. After Load the three protocols hold what they take from the defaults.
type TLSProtocol struct {
	CAFile         string `config:"ca_file" debug:"CAFile"`                              // file of the authorities that peers' certificates must be from
	CAPath         string `config:"ca_path" debug:"CAPath"`                              // directory of the same
	CertFile       string `config:"cert_file" debug:"CertFile"`                          // file of this agent's certificate
	KeyFile        string `config:"key_file" debug:"KeyFile,secret"`                     // file of the certificate's key
	MinVersion     string `config:"tls_min_version" debug:"TLSMinVersion"`               // TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3
	CipherSuites   string `config:"tls_cipher_suites" debug:"CipherSuites"`              // names of cipher suites, separated by commas
	VerifyIncoming bool   `config:"verify_incoming" debug:"VerifyIncoming"`              // refuse clients without a certificate
	VerifyOutgoing bool   `config:"verify_outgoing" debug:"VerifyOutgoing"`              // refuse servers without a certificate
	VerifyName     bool   `config:"verify_server_hostname" debug:"VerifyServerHostname"` // refuse servers whose certificate does not say that they are one
	UseAutoCert    bool   `config:"use_auto_cert" debug:"UseAutoCert"`                   // present the certificate of auto_encrypt or auto_config
}

func defaultTLS() TLS { return TLS{Defaults: TLSProtocol{MinVersion: "TLSv1_2"}} }

// check completes the protocols from the defaults. auto says whether the agent gets its certificate from the servers.
func (t *TLS) check(r *report, auto bool) {
	protocols := []struct {
		key string
		to  *TLSProtocol
	}{
		{"tls.defaults", &t.Defaults}, {"tls.internal_rpc", &t.InternalRPC}, {"tls.https", &t.HTTPS}, {"tls.grpc", &t.GRPC},
	}
	for i, p := range protocols {
		if i > 0 {
			inherit(r, p.key, p.to, &t.Defaults)
		}
		p.to.check(r, p.key)
		if i > 0 && !auto {
			p.to.needs(r, p.key)
		}
	}
	if t.InternalRPC.VerifyName {
		t.InternalRPC.VerifyOutgoing = true // a name can only be verified with the certificate
	}
}

// inherit takes over from the defaults what a protocol does not set itself.
func inherit(r *report, key string, to, from *TLSProtocol) {
	t, f := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i := range t.NumField() {
		if !r.isSet(key + "." + t.Type().Field(i).Tag.Get("config")) {
			t.Field(i).Set(f.Field(i))
		}
	}
}

// needs refuses to verify without what to verify with.
func (p *TLSProtocol) needs(r *report, key string) {
	authority := p.CAFile != "" || p.CAPath != ""
	if p.VerifyIncoming && (!authority || p.CertFile == "") {
		r.refuse(key+".verify_incoming", "needs ca_file or ca_path, cert_file and key_file")
	}
	if p.VerifyOutgoing && !authority {
		r.refuse(key+".verify_outgoing", "needs ca_file or ca_path")
	}
}

func (p *TLSProtocol) check(r *report, key string) {
	versions := []string{"TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"}
	older := []string{"tls10", "tls11", "tls12", "tls13"}
	if i := slices.Index(older, strings.ToLower(p.MinVersion)); i >= 0 {
		p.MinVersion = versions[i]
	}
	if p.MinVersion != "TLS_AUTO" && r.isSet(key+".tls_min_version") {
		r.oneOf(key+".tls_min_version", p.MinVersion, versions...)
	}
	set := r.isSet(key + ".tls_cipher_suites")
	if _, err := certs.Suites(p.CipherSuites); set && err != nil {
		r.refuse(key+".tls_cipher_suites", "%s", err)
	}
	if p.MinVersion == "TLSv1_3" && p.CipherSuites != "" && (set || r.isSet(key+".tls_min_version")) {
		r.refuse(key+".tls_cipher_suites", "cannot be used together with tls_min_version TLSv1_3, whose suites are not for choosing")
	}
	if (p.CertFile == "") != (p.KeyFile == "") && (r.isSet(key+".cert_file") || r.isSet(key+".key_file")) {
		r.refuse(key+".cert_file", "cert_file and key_file must be set together")
	}
}
