// Package pki makes the keys, certificates and kubeconfigs of a cluster.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

// validity outlives any local cluster; nothing renews these certificates.
const validity = 10 * 365 * 24 * time.Hour

// Subject is one certificate to issue.
type Subject struct {
	File         string // base name of the .crt and .key files
	CommonName   string // the user name towards the API server
	Organization string // the group, may be empty
	Names        []string
	IPs          []net.IP
}

// Authority is a certificate authority that writes what it issues into Dir.
type Authority struct {
	Dir  string
	now  time.Time
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewAuthority makes a new authority and writes ca.crt and ca.key.
func NewAuthority(dir string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Authority{Dir: dir, now: now, key: key}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "uploadtenant-cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if a.cert, err = a.write("ca", template, key); err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	a.pem = encode("CERTIFICATE", a.cert.Raw)
	return a, nil
}

// Issue writes a certificate and its key, good for servers and clients.
func (a *Authority) Issue(s Subject) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: s.CommonName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    s.Names,
		IPAddresses: s.IPs,
	}
	if s.Organization != "" {
		template.Subject.Organization = []string{s.Organization}
	}
	if _, err := a.write(s.File, template, key); err != nil {
		return fmt.Errorf("issue the certificate of %s: %w", s.CommonName, err)
	}
	return nil
}

func (a *Authority) write(file string, template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// A virtual machine's clock may step back a little after it was resumed.
	template.NotBefore, template.NotAfter = a.now.Add(-time.Hour), a.now.Add(validity)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if err := a.writeKey(file+".key", key); err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.path(file+".crt"), encode("CERTIFICATE", der), 0o600); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ServiceAccountKeys writes sa.key and sa.pub, with which the API server signs
// and verifies service account tokens. RSA, because RS256 is the one algorithm
// that every OIDC verifier knows.
func (a *Authority) ServiceAccountKeys() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := a.writeKey("sa.key", key); err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(a.path("sa.pub"), encode("PUBLIC KEY", pub), 0o600)
}

func (a *Authority) writeKey(file string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(a.path(file), encode("PRIVATE KEY", der), 0o600)
}

func (a *Authority) path(file string) string { return filepath.Join(a.Dir, file) }

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

var kubeconfig = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
- name: uploadtenant
  cluster:
    server: {{.Server}}
    certificate-authority-data: {{.CA}}
users:
- name: {{.User}}
  user:
    client-certificate-data: {{.Cert}}
    client-key-data: {{.Key}}
contexts:
- name: uploadtenant
  context: {cluster: uploadtenant, user: {{.User}}}
current-context: uploadtenant
`))

// Kubeconfig writes a kubeconfig for a certificate that was issued, with all
// keys inside, so that the file works from anywhere.
func (a *Authority) Kubeconfig(path, server, subject string) error {
	cert, err := os.ReadFile(a.path(subject + ".crt"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(a.path(subject + ".key"))
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	var out bytes.Buffer
	if err := kubeconfig.Execute(&out, map[string]string{
		"Server": server, "User": subject, "CA": b64(a.pem), "Cert": b64(cert), "Key": b64(key),
	}); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}
