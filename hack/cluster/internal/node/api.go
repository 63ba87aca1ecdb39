package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer of the API server.
const maxAnswer = 1 << 20

// API asks the cluster's API server as the administrator. It answers the few
// questions that are asked again and again while the cluster starts, for which
// a kubectl process each time would eat the processor that the start needs.
type API struct{ client *http.Client }

// Client returns an API for the cluster whose keys are in the state folder.
func (l Layout) Client() (*API, error) {
	cert, err := tls.LoadX509KeyPair(l.path("pki", "admin.crt"), l.path("pki", "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's key: %w", err)
	}
	ca, err := os.ReadFile(l.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &API{&http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
			DisableKeepAlives: true,
		},
	}}, nil
}

func (a *API) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, Server+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the API server does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// Healthy returns nil when the API server is ready and the node is Ready.
func (a *API) Healthy(ctx context.Context) error {
	if _, err := a.get(ctx, "/readyz"); err != nil {
		return err
	}
	return a.condition(ctx, "/api/v1/nodes/"+Name, "Ready")
}

// NameServerReady returns nil when the name server's Deployment is available.
func (a *API) NameServerReady(ctx context.Context) error {
	return a.condition(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available")
}

// condition returns nil when the object's condition is true.
func (a *API) condition(ctx context.Context, path, kind string) error {
	body, err := a.get(ctx, path)
	if err != nil {
		return err
	}
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string } `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, c := range object.Status.Conditions {
		if c.Type == kind {
			if c.Status == "True" {
				return nil
			}
			return fmt.Errorf("%s is not %s: %s", path, kind, c.Message)
		}
	}
	return errors.New(path + " has reported nothing yet")
}
