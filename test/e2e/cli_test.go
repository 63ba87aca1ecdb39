//go:build e2e

package e2e

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/test/demo"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
	"github.com/uploadtenant/uploadtenant/uploadsctl/doctor"
)

// kubectl uploads finds nothing wrong with what the demo installed, and reaches the dead letters, which the
// signer shows on loopback only, through the kubelet's port-forward.
func TestKubectlUploads(t *testing.T) {
	api, err := uploadsctl.NewClient(d.Config())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &uploadsctl.Session{Client: api, Config: d.Config(), Namespace: demo.AppNamespace, Now: time.Now, Out: &out, Log: &out}
	if err := doctor.New(s).Run(t.Context(), demo.Tenant, uploadsctl.Text); err != nil {
		t.Errorf("doctor: %v\n%s", err, out.String())
	}
	out.Reset()
	letters := &uploadsctl.DeadLetters{Session: s, Tenant: demo.Tenant, Dial: s.Forward}
	if err := letters.List(t.Context(), uploadsctl.Text); err != nil || !strings.Contains(out.String(), "has no dead letters") {
		t.Errorf("dead-letters: %v\n%s", err, out.String())
	}
}
