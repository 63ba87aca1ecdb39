//go:build e2e

package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/test/demo"
)

// accessKey matches an AccessKey id of Alibaba Cloud, long-lived or temporary.
var accessKey = regexp.MustCompile(`\b(LTAI[A-Za-z0-9]{12,}|STS\.[A-Za-z0-9]{16,})`)

// No AccessKey is in any pod of the product: not in its specification, and not in a Secret or ConfigMap of
// its namespace, mounted or not. Only the emulator, which is the cloud, knows one.
func TestNoAccessKeyInAnyPod(t *testing.T) {
	scan := func(what string, o any) {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if found := accessKey.Find(text); found != nil {
			t.Errorf("%s holds an AccessKey id (%.8s…)", what, found)
		}
		for _, secret := range d.CloudSecrets() {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds the platform team's AccessKey", what)
			}
		}
	}
	pods := 0
	for _, namespace := range []string{demo.OperatorNamespace, demo.AppNamespace} {
		var podList corev1.PodList
		var secrets corev1.SecretList
		var configs corev1.ConfigMapList
		for _, list := range []client.ObjectList{&podList, &secrets, &configs} {
			if err := d.Client().List(t.Context(), list, client.InNamespace(namespace)); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range podList.Items {
			pods++
			scan("pod "+p.Name, p)
			for _, c := range p.Spec.Containers {
				for _, e := range c.Env {
					if strings.Contains(strings.ToUpper(e.Name), "ACCESS_KEY") {
						t.Errorf("pod %s has the variable %s", p.Name, e.Name)
					}
				}
			}
		}
		for _, s := range secrets.Items {
			plain := map[string]string{}
			for k, v := range s.Data {
				plain[k] = string(v)
			}
			scan("Secret "+s.Name, plain)
		}
		for _, c := range configs.Items {
			scan("ConfigMap "+c.Name, c.Data)
		}
	}
	if pods < 3 {
		t.Errorf("looked at %d pods, want at least manager, signer and receiver", pods)
	}
}

// Pods of the product run as nobody in particular, cannot become more, and the signer has no way to the API.
func TestPodsAreRestricted(t *testing.T) {
	for namespace, labels := range map[string]client.MatchingLabels{
		demo.OperatorNamespace: {"app.kubernetes.io/instance": demo.Release},
		demo.AppNamespace:      {"app.kubernetes.io/name": "uploadtenant-signer"},
	} {
		var pods corev1.PodList
		if err := d.Client().List(t.Context(), &pods, client.InNamespace(namespace), labels); err != nil {
			t.Fatal(err)
		}
		if len(pods.Items) == 0 {
			t.Errorf("no pod with %v in %s", labels, namespace)
		}
		for _, p := range pods.Items {
			for _, c := range p.Spec.Containers {
				s := c.SecurityContext
				if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
					s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
					s.Capabilities == nil || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
					t.Errorf("container %s of %s has the security context %+v", c.Name, p.Name, s)
				}
				for _, m := range c.VolumeMounts {
					if namespace == demo.AppNamespace && strings.HasPrefix(m.MountPath, "/var/run/secrets/kubernetes.io") {
						t.Errorf("the signer %s has a token for the Kubernetes API", p.Name)
					}
				}
			}
		}
	}
}

// The role trusts the signer's service account alone, and the policy reaches nothing outside bucket and prefix.
func TestRoleIsNarrow(t *testing.T) {
	arn, err := d.RoleARN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Access(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	if want := "system:serviceaccount:" + demo.AppNamespace + ":" + demo.SignerService; !strings.Contains(a.Trust, want) {
		t.Errorf("the trust document does not name %s: %s", want, a.Trust)
	}
	var document struct {
		Statement []struct{ Resource []string }
	}
	if err := json.Unmarshal([]byte(a.Document), &document); err != nil {
		t.Fatal(err)
	}
	inside := regexp.MustCompile(`^acs:oss:\*:[0-9*]+:family-album(/album/\*)?$`)
	for _, s := range document.Statement {
		for _, r := range s.Resource {
			if !inside.MatchString(r) {
				t.Errorf("the policy reaches %s", r)
			}
		}
	}
}
