package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Addresses of the emulated cloud, as pods and (through the Network) the demo itself reach it.
const (
	CloudOSS = "http://emulator." + CloudNamespace + ".svc:9000"
	cloudAPI = "http://emulator." + CloudNamespace + ".svc:9001"
)

// deployCloud starts the emulator. Its admin key stays in its namespace and with the platform team, which is
// this program: no other pod ever sees it.
func (d *Demo) deployCloud(ctx context.Context) error {
	for _, ns := range []string{CloudNamespace, OperatorNamespace, AppNamespace} {
		if err := d.ensureNamespace(ctx, ns); err != nil {
			return err
		}
	}
	key, err := d.secret(ctx, CloudNamespace, "platform-team", "access-key", func() string {
		return "LTAI5tDemo" + randomText(10) + ":" + randomText(30)
	})
	if err != nil {
		return err
	}
	d.cloud.id, d.cloud.secret, _ = strings.Cut(key, ":")
	if d.issuer, err = d.findIssuer(ctx); err != nil {
		return err
	}
	fill := strings.NewReplacer("${IMAGE}", d.images["emulator"], "${OSS}", CloudOSS, "${ISSUER}", d.issuer)
	if err := d.applyFile(ctx, "emulator.yaml", fill); err != nil {
		return err
	}
	if err := d.rollout(ctx, CloudNamespace, "emulator"); err != nil {
		return err
	}
	d.net.Forget()
	d.say("OSS at %s; RAM, IMS and STS at %s; account %s, region %s", CloudOSS, cloudAPI, AccountID, Region)
	d.say("it verifies the tokens of this cluster with the API server's own keys (%s)", d.issuer)
	return nil
}

// secret returns one key of a Secret, which is made when it is missing.
func (d *Demo) secret(ctx context.Context, namespace, name, key string, value func() string) (string, error) {
	var s corev1.Secret
	err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s)
	if err == nil {
		return string(s.Data[key]), nil
	}
	if !apierrors.IsNotFound(err) {
		return "", err
	}
	s.Namespace, s.Name = namespace, name
	s.Data = map[string][]byte{key: []byte(value())}
	if err := d.client.Create(ctx, &s); err != nil {
		return "", fmt.Errorf("create Secret %s: %w", name, err)
	}
	return string(s.Data[key]), nil
}

// randomText is n letters and digits that nobody can guess, when n is large enough.
func randomText(n int) string {
	text := ""
	for len(text) < n {
		text += strings.NewReplacer("-", "", "_", "").Replace(base64.RawURLEncoding.EncodeToString(randomBytes(n)))
	}
	return text[:n]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, it ends the program instead
	return b
}
