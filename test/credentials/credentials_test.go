// Package credentials_test lets credentials-go, the official credentials library, fetch credentials from the
// emulator as pods do with RRSA. It insists on HTTPS, so the emulator runs with a certificate of this test's CA.
//
// It is a module of its own: nothing else needs the library.
package credentials_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/credentials-go/credentials"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	account = "1234567890123456"
	keyID   = "LTAI5tCredentialsTest01"
	secret  = "CredentialsTestSecret000000001"
	subject = "system:serviceaccount:family:album-signer"
)

// authority signs the certificates of the emulator and of the issuer.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = certificate(t, nil)
	return a
}

// certificate makes a certificate for 127.0.0.1, signed by a or, without one, by itself.
func certificate(t *testing.T, a *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: a == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func writePEM(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// startEmulator builds and runs the command, and returns host:port of its API.
func startEmulator(t *testing.T, a *authority) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "emulator")
	build := exec.Command("go", "build", "-o", binary, "./cmd/emulator")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the emulator: %v\n%s", err, out)
	}
	cert, key := certificate(t, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, binary, "--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--access-key", keyID+":"+secret,
		"--tls-cert", writePEM(t, dir, "tls.pem", "CERTIFICATE", cert.Raw), "--tls-key", writePEM(t, dir, "key.pem", "PRIVATE KEY", der),
		"--oidc-ca", writePEM(t, dir, "ca.pem", "CERTIFICATE", a.cert.Raw))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := regexp.MustCompile(`^RAM.* on https://(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatal("the emulator did not say where its API is")
	return ""
}

// issuer is an OIDC provider over TLS.
func issuer(t *testing.T, a *authority) (string, func(audience string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	cert, certKey := certificate(t, a)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: certKey}}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}})
	})
	return server.URL, func(audience string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: server.URL, Subject: subject, Audience: jwt.Audience{audience},
			Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)), IssuedAt: jwt.NewNumericDate(time.Now())}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// rpc makes a signed call, written from the description of the protocol.
func rpc(t *testing.T, host, version, action string, params map[string]string, key, secret, token string) string {
	t.Helper()
	all := map[string]string{"Action": action, "Version": version, "Format": "JSON", "AccessKeyId": key, "SignatureMethod": "HMAC-SHA1",
		"SignatureVersion": "1.0", "SignatureNonce": fmt.Sprint(time.Now().UnixNano()), "Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z")}
	if token != "" {
		all["SecurityToken"] = token
	}
	for k, v := range params {
		all[k] = v
	}
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var names []string
	for k := range all {
		names = append(names, k)
	}
	sort.Strings(names)
	var pairs []string
	for _, k := range names {
		pairs = append(pairs, escape(k)+"="+escape(all[k]))
	}
	query := strings.Join(pairs, "&")
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte("GET&%2F&" + escape(query)))
	resp, err := http.Get("https://" + host + "/?" + query + "&Signature=" + escape(base64.StdEncoding.EncodeToString(mac.Sum(nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", action, resp.Status, body, err)
	}
	return string(body)
}

func TestPodFetchesCredentialsOverTLS(t *testing.T) {
	a := newAuthority(t)
	// credentials-go clones the default transport; a pod would set SSL_CERT_FILE.
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}
	host := startEmulator(t, a)
	issuerURL, token := issuer(t, a)
	provider := "acs:ram::" + account + ":oidc-provider/cluster"
	rpc(t, host, "2019-08-15", "CreateOIDCProvider", map[string]string{"OIDCProviderName": "cluster", "IssuerUrl": issuerURL, "ClientIds": "sts.aliyuncs.com"}, keyID, secret, "")
	rpc(t, host, "2015-05-01", "CreateRole", map[string]string{"RoleName": "album", "AssumeRolePolicyDocument": `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":["` +
		provider + `"]},"Condition":{"StringEquals":{"oidc:aud":"sts.aliyuncs.com","oidc:sub":"` + subject + `","oidc:iss":"` + issuerURL + `"}}}]}`}, keyID, secret, "")

	tokenFile := filepath.Join(t.TempDir(), "token")
	fetch := func(audience string) (*credentials.CredentialModel, error) {
		if err := os.WriteFile(tokenFile, []byte(token(audience)), 0o600); err != nil {
			t.Fatal(err)
		}
		config := new(credentials.Config).SetType("oidc_role_arn").SetRoleArn("acs:ram::" + account + ":role/album").
			SetOIDCProviderArn(provider).SetOIDCTokenFilePath(tokenFile).SetRoleSessionName("signer").SetSTSEndpoint(host)
		cred, err := credentials.NewCredential(config)
		if err != nil {
			return nil, err
		}
		return cred.GetCredential()
	}
	got, err := fetch("sts.aliyuncs.com")
	if err != nil {
		t.Fatal(err)
	}
	who := rpc(t, host, "2015-04-01", "GetCallerIdentity", nil, *got.AccessKeyId, *got.AccessKeySecret, *got.SecurityToken)
	if !bytes.Contains([]byte(who), []byte(`"Arn":"acs:ram::`+account+`:assumed-role/album/signer"`)) {
		t.Errorf("the credentials belong to %s", who)
	}
	if _, err := fetch("another-audience"); err == nil || !strings.Contains(err.Error(), "AudienceNotMatch") {
		t.Errorf("a token for somebody else: %v", err)
	}
}
