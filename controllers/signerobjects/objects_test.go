package signerobjects_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

func input() signerobjects.Input {
	return signerobjects.Input{
		Tenant: &v1alpha1.UploadTenant{
			ObjectMeta: metav1.ObjectMeta{Namespace: "family", Name: "album", UID: "uid-1"},
			Spec: v1alpha1.UploadTenantSpec{
				Auth: v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt", Key: "hmac"}},
					WeChat: &v1alpha1.WeChatAuth{SecretRef: v1alpha1.SecretKeyReference{Name: "album-wechat", Key: "appsecret"}}},
				Events:       &v1alpha1.EventsSpec{SecretRef: v1alpha1.SecretKeyReference{Name: "album-events", Key: "whsec"}},
				Verification: v1alpha1.VerificationSpec{MediaCheck: &v1alpha1.MediaCheckSpec{PushSecretRef: v1alpha1.LocalSecretReference{Name: "album-push"}}},
			},
		},
		Config: config.Config{
			Fixed: config.Fixed{
				Tenant:      "family/album",
				Credentials: config.Credentials{TokenFile: "/var/run/secrets/uploadtenant/oidc/token"},
			},
		},
		Image: "signer:1",
	}
}

// typed turns an apply configuration into the object that it describes.
func typed[T any](t *testing.T, applyConfiguration any) *T {
	t.Helper()
	raw, err := json.Marshal(applyConfiguration)
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPodIsRestricted checks the "restricted" Pod Security Standard and that no Kubernetes or cloud key
// reaches the pod.
func TestPodIsRestricted(t *testing.T) {
	pod := typed[appsv1.Deployment](t, signerobjects.Deployment(input())).Spec.Template.Spec
	container := pod.Containers[0]
	sc := container.SecurityContext
	checks := map[string]bool{
		"not root":                *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0,
		"default seccomp":         pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no privilege escalation": !*sc.AllowPrivilegeEscalation,
		"no capabilities":         len(sc.Capabilities.Drop) == 1 && sc.Capabilities.Drop[0] == "ALL",
		"read-only root":          *sc.ReadOnlyRootFilesystem,
		"no Kubernetes token":     !*pod.AutomountServiceAccountToken,
		"no environment":          len(container.Env)+len(container.EnvFrom) == 0,
		"resources":               !container.Resources.Requests.Memory().IsZero() && !container.Resources.Limits.Memory().IsZero(),
		"probes":                  container.ReadinessProbe != nil && container.LivenessProbe != nil && container.StartupProbe != nil,
	}
	for what, holds := range checks {
		if !holds {
			t.Errorf("the pod breaks: %s", what)
		}
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			t.Errorf("volume %s is of the host", v.Name)
		}
	}
}

func TestPodFindsItsFiles(t *testing.T) {
	pod := typed[appsv1.Deployment](t, signerobjects.Deployment(input())).Spec.Template.Spec
	roots := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		roots[m.Name] = m.MountPath
	}
	files := map[string]string{}
	for _, v := range pod.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			switch {
			case s.ConfigMap != nil:
				files[roots[v.Name]+"/"+s.ConfigMap.Items[0].Path] = s.ConfigMap.Name
			case s.Secret != nil:
				files[roots[v.Name]+"/"+s.Secret.Items[0].Path] = s.Secret.Name + "/" + s.Secret.Items[0].Key
			case s.ServiceAccountToken != nil:
				files[roots[v.Name]+"/"+s.ServiceAccountToken.Path] = s.ServiceAccountToken.Audience
			}
		}
	}
	want := map[string]string{
		"/etc/uploadtenant/config.json":            "album-signer",
		"/etc/uploadtenant/tickets/keys.json":      "album-signer-tickets/keys.json",
		"/etc/uploadtenant/secrets/jwt/secret":     "album-jwt/hmac",
		"/etc/uploadtenant/secrets/wechat/secret":  "album-wechat/appsecret",
		"/etc/uploadtenant/secrets/events/secret":  "album-events/whsec",
		"/etc/uploadtenant/secrets/push/token":     "album-push/token",
		"/var/run/secrets/uploadtenant/oidc/token": "sts.aliyuncs.com",
	}
	for path, source := range want {
		if files[path] != source {
			t.Errorf("%s comes from %q, want %q", path, files[path], source)
		}
	}
	if roots["index"] != "/var/lib/uploadtenant" {
		t.Errorf("index is mounted at %q", roots["index"])
	}
}

// The connection string is a file of the pod and nothing else of it: no argument, no variable.
func TestPodFindsItsPostgres(t *testing.T) {
	in := input()
	in.Tenant.Spec.Index.Postgres = &v1alpha1.PostgresSpec{SecretRef: v1alpha1.SecretKeyReference{Name: "album-db", Key: "uri"}, Port: ptr.To[int32](6432)}
	pod := typed[appsv1.Deployment](t, signerobjects.Deployment(in)).Spec.Template.Spec
	got := map[string]string{}
	for _, v := range pod.Volumes {
		if v.Name == "index" {
			t.Error("a pod with PostgreSQL needs no volume for SQLite")
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && s.Secret.Name == "album-db" {
				got[s.Secret.Items[0].Path] = fmt.Sprint(s.Secret.Items[0].Key, " ", s.Secret.Optional != nil && *s.Secret.Optional)
			}
		}
	}
	want := map[string]string{"secrets/index/dsn": "uri false", "secrets/index/ca.crt": "ca.crt true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	raw, err := json.Marshal(signerobjects.NetworkPolicy(in))
	if err != nil || !strings.Contains(string(raw), `"port":6432`) {
		t.Errorf("the network policy does not let the database through: %s, %v", raw, err)
	}
}

func TestTheSignerReachesWhomItAsksAboutCallers(t *testing.T) {
	in := input()
	in.Config.Auth = config.Auth{
		JWT:     &config.JWT{JWKSURL: "https://id.example.com:8443/jwks"},
		WeChat:  &config.WeChat{BaseURL: "http://emulator:9001"},
		Forward: &config.Forward{URL: "http://api.family.svc:8088/whoami"},
	}
	raw, err := json.Marshal(signerobjects.NetworkPolicy(in))
	for _, port := range []string{"8443", "9001", "8088", "443"} {
		if err != nil || !strings.Contains(string(raw), `"port":`+port+"}") && !strings.Contains(string(raw), `"port":`+port+",") {
			t.Errorf("port %s is closed: %s, %v", port, raw, err)
		}
	}
}

// Tracing is the standard environment and an open port; without it, and at the usual log level, the pod is as before.
func TestATracedSignerKnowsItsCollector(t *testing.T) {
	in := input()
	plain := typed[appsv1.Deployment](t, signerobjects.Deployment(in)).Spec.Template.Spec.Containers[0]
	if len(plain.Env) != 0 || strings.Contains(strings.Join(plain.Args, " "), "log-level") {
		t.Errorf("untraced: %v %v", plain.Env, plain.Args)
	}
	in.Tenant.Spec.Signer.LogLevel = v1alpha1.SignerLogDebug
	in.Tenant.Spec.Signer.Tracing = &v1alpha1.TracingSpec{Endpoint: "http://collector.observability.svc:4318", SamplePercent: ptr.To[int32](5)}
	container := typed[appsv1.Deployment](t, signerobjects.Deployment(in)).Spec.Template.Spec.Containers[0]
	got := map[string]string{}
	for _, e := range container.Env {
		got[e.Name] = e.Value
	}
	want := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability.svc:4318", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05",
		"OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=family,k8s.deployment.name=album-signer"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if args := strings.Join(container.Args, " "); !strings.HasSuffix(args, "--log-level debug") {
		t.Errorf("arguments %s", args)
	}
	if raw, err := json.Marshal(signerobjects.NetworkPolicy(in)); err != nil || !strings.Contains(string(raw), `"port":4318`) {
		t.Errorf("the collector's port is closed: %s, %v", raw, err)
	}
}

func TestServiceSelectsThePodAndHidesOps(t *testing.T) {
	service := typed[corev1.Service](t, signerobjects.Service(input()))
	deployment := typed[appsv1.Deployment](t, signerobjects.Deployment(input()))
	for key, value := range service.Spec.Selector {
		if deployment.Spec.Template.Labels[key] != value {
			t.Errorf("the Service selects %s=%s, which the pod has not", key, value)
		}
	}
	if len(service.Spec.Ports) != 1 || service.Spec.Ports[0].Port != 80 || service.Spec.Ports[0].Name != "http" {
		t.Errorf("ports = %+v", service.Spec.Ports)
	}
}

func TestChangedConfigurationRollsOut(t *testing.T) {
	in := input()
	before := typed[appsv1.Deployment](t, signerobjects.Deployment(in)).Spec.Template.Annotations
	in.Config.Bucket.Name = "other"
	after := typed[appsv1.Deployment](t, signerobjects.Deployment(in)).Spec.Template.Annotations
	if before[signerobjects.AnnotationConfigHash] == after[signerobjects.AnnotationConfigHash] {
		t.Error("the pod template is the same")
	}
}

func TestTicketKeys(t *testing.T) {
	keys, err := signerobjects.NewTicketKeys(strings.NewReader(strings.Repeat("k", 36)))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := signerobjects.TicketSecret(input().Tenant, keys)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := signerobjects.ParseTicketKeys(secret.Data[signerobjects.TicketKeysKey])
	if err != nil || parsed.Current != keys.Current || len(parsed.Keys) != 1 {
		t.Errorf("parsed = %+v, err = %v", parsed, err)
	}
	if _, err := signerobjects.NewTicketKeys(strings.NewReader("short")); err == nil {
		t.Error("too little randomness made a key")
	}
	for name, raw := range map[string]string{
		"empty": "", "no JSON": "x", "no current": `{"current":"a","keys":{}}`,
		"short key": `{"current":"a","keys":{"a":"c2hvcnQ="}}`, "no base64": `{"current":"a","keys":{"a":"***"}}`,
	} {
		_, err := signerobjects.ParseTicketKeys([]byte(raw))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "c2hvcnQ=") {
			t.Errorf("%s: the message holds the key: %v", name, err)
		}
	}
}

func FuzzParseTicketKeys(f *testing.F) {
	f.Add([]byte(`{"current":"a","keys":{"a":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := signerobjects.ParseTicketKeys(raw)
		if err == nil && keys.Keys[keys.Current] == "" {
			t.Error("accepted without a current key")
		}
	})
}

func TestCovers(t *testing.T) {
	live := map[string]any{
		"apiVersion": "v1",
		"spec": map[string]any{
			"replicas": 1, "paused": false,
			"containers": []any{map[string]any{"name": "injected"}, map[string]any{"name": "signer", "image": "a", "imagePullPolicy": "Always"}},
			"drop":       []any{"ALL"},
		},
	}
	tests := map[string]struct {
		want    any
		covered bool
	}{
		"nothing":             {map[string]any{}, true},
		"a part":              {map[string]any{"spec": map[string]any{"replicas": 1}}, true},
		"kind is not there":   {map[string]any{"kind": "X"}, true},
		"an item by name":     {map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "signer", "image": "a"}}}}, true},
		"an empty map":        {map[string]any{"spec": map[string]any{"emptyDir": map[string]any{}}}, true},
		"another value":       {map[string]any{"spec": map[string]any{"replicas": 2}}, false},
		"a missing field":     {map[string]any{"spec": map[string]any{"x": 1}}, false},
		"an item's value":     {map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "signer", "image": "b"}}}}, false},
		"a missing item":      {map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "other"}}}}, false},
		"a longer plain list": {map[string]any{"spec": map[string]any{"drop": []any{"ALL", "X"}}}, false},
		"another plain list":  {map[string]any{"spec": map[string]any{"drop": []any{"X"}}}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := signerobjects.Covers(live, tc.want)
			if err != nil || got != tc.covered {
				t.Errorf("Covers = %t, err %v, want %t", got, err, tc.covered)
			}
		})
	}
}
