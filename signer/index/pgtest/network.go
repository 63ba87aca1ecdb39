package pgtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Remote is a database that is reached over TCP, with TLS and a password only.
type Remote struct {
	// URL without sslrootcert, which depends on where the caller keeps CA.
	URL string
	// CA is the PEM certificate that the server's is signed with.
	CA []byte
}

// Listen makes the server answer on an address of this machine as well, and returns a database of its own
// for a role of its own, which may do nothing else. Connections that were open end.
func (s *Server) Listen(ctx context.Context, address string) (*Remote, error) {
	if s.address != "" {
		return nil, errors.New("the server listens already")
	}
	ca, err := s.certificate(address)
	if err != nil {
		return nil, err
	}
	// Whoever comes over the network needs both TLS and the password.
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte("local all all trust\nhostssl all all all scram-sha-256\n"), 0o600); err != nil {
		return nil, err
	}
	if err := s.Stop(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx, address); err != nil {
		return nil, err
	}
	password := rand.Text()
	for _, statement := range []string{"CREATE ROLE uploads LOGIN PASSWORD '" + password + "'", "CREATE DATABASE uploads OWNER uploads"} {
		if err := s.Exec(ctx, "postgres", statement); err != nil {
			return nil, err
		}
	}
	return &Remote{URL: fmt.Sprintf("postgres://uploads:%s@%s/uploads?sslmode=verify-full", password, net.JoinHostPort(address, s.port)), CA: ca}, nil
}

// listen starts the server on a free port. Another process may take the port before the server does, which
// cannot be handed an open one; then another port is tried.
func (s *Server) listen(ctx context.Context, address string) error {
	for attempt := 1; ; attempt++ {
		port, err := freePort(ctx, address)
		if err != nil {
			return err
		}
		s.address, s.port = address, port
		err = s.Restart()
		if err == nil || attempt == 10 || !strings.Contains(err.Error(), "could not bind") && !strings.Contains(err.Error(), "could not create any TCP/IP sockets") {
			return err
		}
	}
}

// freePort asks the kernel for a port that nobody has now.
func freePort(ctx context.Context, address string) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return "", fmt.Errorf("find a port for PostgreSQL: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// certificate gives the server a key and a certificate for address, and returns the authority's certificate.
func (s *Server) certificate(address string) ([]byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pgtest authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: address}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.ParseIP(address)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: leafDER}, "server.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
		if s.as != nil {
			if err := os.Chown(path, int(s.as.Uid), int(s.as.Gid)); err != nil {
				return nil, err
			}
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}

// networkArguments of the server program.
func (s *Server) networkArguments() []string {
	if s.address == "" {
		return []string{"-c", "listen_addresses="}
	}
	return []string{"-c", "listen_addresses=" + s.address, "-p", s.port, "-c", "ssl=on"}
}

// DSN connects to a database as the superuser, through the Unix socket.
func (s *Server) DSN(database string) string {
	// A server that is away refuses at once; one on a busy machine may take long.
	parts := []string{"host=" + s.dir, "user=postgres", "dbname=" + database, "sslmode=disable", "connect_timeout=60"}
	if s.port != "" {
		parts = append(parts, "port="+s.port)
	}
	return strings.Join(parts, " ")
}
