package fake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Flaw is what is wrong with a host's certificate. The zero Flaw is nothing.
type Flaw int

// The flaws.
const (
	Sound      Flaw = iota
	Expired         // it ended yesterday
	Early           // it begins tomorrow
	WrongName       // it is somebody else's
	SelfSigned      // by nobody
)

// authority signs the certificates of a site. Each site has its own, so that trust in one is no trust in another.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "SecureClaw test authority"},
		NotBefore: now.AddDate(0, 0, -7), NotAfter: now.AddDate(0, 0, 7), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return authority{cert, key}
}

// AuthorityPEM is the certificate that a client must trust.
func (s *Site) AuthorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.cert.Raw})
}

// AuthorityDER is the same, as Chromium's policy CACertificates takes it once it is in base64.
func (s *Site) AuthorityDER() []byte { return s.authority.cert.Raw }

// Roots is a pool that holds the authority, for clients in Go.
func (s *Site) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.cert)
	return pool
}

// Pin is the authority's key as Chromium's --ignore-certificate-errors-spki-list takes it.
func (s *Site) Pin() string {
	sum := sha256.Sum256(s.authority.cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Spoil makes a host show a bad certificate from now on.
func (s *Site) Spoil(host string, flaw Flaw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flaws[host] = flaw
	delete(s.leaves, host)
}

// leaf is the certificate of a name, or of the address for a client that says none.
func (s *Site) leaf(name string) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.leaves[name]; have != nil {
		return have, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 5),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name == "" {
		template.DNSNames, template.IPAddresses = nil, []net.IP{s.addr.Addr().AsSlice()}
	}
	issuer, signer := s.authority.cert, crypto.Signer(s.authority.key)
	switch s.flaws[name] {
	case Expired:
		template.NotBefore, template.NotAfter = now.AddDate(0, 0, -6), now.AddDate(0, 0, -1)
	case Early:
		template.NotBefore = now.AddDate(0, 0, 1)
	case WrongName:
		template.DNSNames = []string{"somebody-else.test"}
	case SelfSigned:
		issuer, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	out := &tls.Certificate{Certificate: [][]byte{der, s.authority.cert.Raw}, PrivateKey: key}
	s.leaves[name] = out
	return out, nil
}
