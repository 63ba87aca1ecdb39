package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// What the authority issues must be accepted for the names it was issued for,
// by both sides of a connection.
func TestIssuedCertificatesVerify(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ca, err := NewAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	subject := Subject{File: "api", CommonName: "kube-apiserver", Organization: "system:masters", Names: []string{"kubernetes.default.svc"}, IPs: []net.IP{net.IPv4(10, 96, 0, 1)}}
	if err := ca.Issue(subject); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "api.crt"), filepath.Join(dir, "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	tests := map[string]struct {
		name string
		at   time.Time
		want bool
	}{
		"DNS name":     {"kubernetes.default.svc", now, true},
		"address":      {"10.96.0.1", now, true},
		"other name":   {"example.com", now, false},
		"years later":  {"10.96.0.1", now.AddDate(9, 0, 0), true},
		"clock behind": {"10.96.0.1", now.Add(-30 * time.Minute), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.name, CurrentTime: tc.at, KeyUsages: []x509.ExtKeyUsage{use}})
				if (err == nil) != tc.want {
					t.Errorf("Verify() = %v, want success %v", err, tc.want)
				}
			}
		})
	}
	if got := pair.Leaf.Subject; got.CommonName != "kube-apiserver" || got.Organization[0] != "system:masters" {
		t.Errorf("subject = %v", got)
	}
}

func TestKubeconfigIsComplete(t *testing.T) {
	dir := t.TempDir()
	ca, err := NewAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Issue(Subject{File: "admin", CommonName: "admin"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := ca.Kubeconfig(path, "https://10.99.0.2:6443", "admin"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := func(key string) []byte {
		m := regexp.MustCompile(key + `: (\S+)`).FindSubmatch(data)
		if m == nil {
			t.Fatalf("the kubeconfig has no %s", key)
		}
		raw, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return raw
	}
	if _, err := tls.X509KeyPair(part("client-certificate-data"), part("client-key-data")); err != nil {
		t.Errorf("the client's key pair: %v", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(part("certificate-authority-data")) {
		t.Error("the authority's certificate does not parse")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600: the file holds the administrator's key", info.Mode(), err)
	}
}
