package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

const root = "../.."

// configured is the smallest set of values with a CloudAccount.
const configured = `
account:
  spec:
    accountID: "1234567890123456"
    region: cn-hangzhou
    credentials: {oidc: {roleARN: "acs:ram::1234567890123456:role/uploadtenant-manager"}}
    oidc: {providerARN: "acs:ram::1234567890123456:oidc-provider/c1", issuer: https://issuer.example.com}
`

// objects that a rendering holds, by "Kind name".
type objects map[string]*unstructured.Unstructured

func helm(t *testing.T, values string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"tool", "-modfile=hack/tools/helm/go.mod", "helm", "template", "uploadtenant", "charts/uploadtenant",
		"--namespace", "uploadtenant-system", "--kube-version", "1.30.0", "--values", file}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

func render(t *testing.T, values string, args ...string) objects {
	t.Helper()
	stdout, stderr, err := helm(t, values, args...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, stderr)
	}
	all := objects{}
	for decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(stdout), 4096); ; {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the rendering is not YAML: %v", err)
		}
		if len(obj.Object) == 0 {
			continue
		}
		key := obj.GetKind() + " " + obj.GetName()
		if all[key] != nil {
			t.Errorf("%s is rendered twice", key)
		}
		all[key] = obj
	}
}

func into[T any](t *testing.T, all objects, key string) *T {
	t.Helper()
	obj := all[key]
	if obj == nil {
		t.Fatalf("no %s among %v", key, slices.Sorted(maps.Keys(all)))
	}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, typed, true); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return typed
}

func TestValuesDecideWhatIsInstalled(t *testing.T) {
	base := []string{
		"ClusterRole uploadtenant-edit", "ClusterRole uploadtenant-manager", "ClusterRole uploadtenant-view",
		"ClusterRoleBinding uploadtenant-manager",
		"CustomResourceDefinition cloudaccounts.oss.uploadtenant.io", "CustomResourceDefinition uploadtenants.oss.uploadtenant.io",
		"Deployment uploadtenant", "Role uploadtenant-manager", "RoleBinding uploadtenant-manager",
		"Service uploadtenant-metrics", "ServiceAccount uploadtenant",
		"ValidatingAdmissionPolicy uploadtenant-tenancy", "ValidatingAdmissionPolicyBinding uploadtenant-tenancy",
	}
	tests := map[string]struct {
		values    string
		with      []string
		without   []string
		namespace string
	}{
		"defaults":               {},
		"an account":             {values: configured, with: []string{"ClusterRole uploadtenant-account", "ClusterRoleBinding uploadtenant-account", "ConfigMap uploadtenant-account"}},
		"CRDs come another way":  {values: "crds: {enabled: false}", without: []string{"CustomResourceDefinition cloudaccounts.oss.uploadtenant.io", "CustomResourceDefinition uploadtenants.oss.uploadtenant.io"}},
		"no admission policy":    {values: "tenancy: {admissionPolicy: false}", without: []string{"ValidatingAdmissionPolicy uploadtenant-tenancy", "ValidatingAdmissionPolicyBinding uploadtenant-tenancy"}},
		"two replicas":           {values: "replicas: 2", with: []string{"PodDisruptionBudget uploadtenant"}},
		"no metrics":             {values: "metrics: {service: {enabled: false}}", without: []string{"Service uploadtenant-metrics"}},
		"Prometheus operator":    {values: "metrics: {serviceMonitor: {enabled: true}}", with: []string{"ServiceMonitor uploadtenant"}},
		"a given serviceaccount": {values: "serviceAccount: {name: mgr}", with: []string{"ServiceAccount mgr"}, without: []string{"ServiceAccount uploadtenant"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(render(t, tc.values)))
			want := slices.Concat(base, tc.with)
			want = slices.DeleteFunc(want, func(key string) bool { return slices.Contains(tc.without, key) })
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSchemaTakesEveryWayToAuthenticate: without a provider in RAM, signers get brokered sessions.
func TestSchemaTakesEveryWayToAuthenticate(t *testing.T) {
	const account = `account: {spec: {accountID: "1234567890123456", region: cn-hangzhou, credentials: %s}}`
	for _, credentials := range []string{"{environment: {}}", "{secretRef: {name: aliyun}}"} {
		if _, stderr, err := helm(t, fmt.Sprintf(account, credentials)); err != nil {
			t.Errorf("%s: %v\n%s", credentials, err, stderr)
		}
	}
}

func TestSchemaRefusesWrongValues(t *testing.T) {
	tests := map[string]struct{ values, want string }{
		"misspelt value":             {"replica: 2", "replica"},
		"no replica":                 {"replicas: 0", "replicas"},
		"half an account":            {`account: {spec: {accountID: "1234567890123456"}}`, "account"},
		"keyless without a provider": {`account: {spec: {accountID: "1234567890123456", region: cn-hangzhou, credentials: {oidc: {roleARN: "acs:ram::1:role/x"}}}}`, "oidc"},
		"account id not a string":    {strings.Replace(configured, `"1234567890123456"`, "1234567890123456", 1), "accountID"},
		"collector":                  {"tracing: {endpoint: 'collector:4318'}", "endpoint"},
		"pull policy":                {"image: {repository: x, pullPolicy: Sometimes}", "pullPolicy"},
		"monitor without service":    {"metrics: {service: {enabled: false}, serviceMonitor: {enabled: true}}", "metrics.serviceMonitor.enabled needs metrics.service.enabled"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, stderr, err := helm(t, tc.values)
			if err == nil {
				t.Fatal("helm accepted the values")
			}
			if !strings.Contains(stderr, tc.want) {
				t.Errorf("the message does not name %q:\n%s", tc.want, stderr)
			}
		})
	}
}

func TestManagerPodIsRestrictedAndKeyless(t *testing.T) {
	dep := into[appsv1.Deployment](t, render(t, ""), "Deployment uploadtenant")
	pod := dep.Spec.Template.Spec
	if sc := pod.SecurityContext; sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot ||
		sc.SeccompProfile == nil || sc.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod security context = %+v, want non-root with the runtime's seccomp profile", sc)
	}
	container := pod.Containers[0]
	if sc := container.SecurityContext; sc == nil || sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation ||
		sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem ||
		sc.Capabilities == nil || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("container security context = %+v, want nothing granted", sc)
	}
	if container.LivenessProbe == nil || container.ReadinessProbe == nil {
		t.Error("the manager has no probes")
	}
	if len(container.Env)+len(container.EnvFrom) != 0 {
		t.Errorf("environment = %v %v, want none by default", container.Env, container.EnvFrom)
	}
	token := pod.Volumes[0].Projected.Sources[0].ServiceAccountToken
	file := container.VolumeMounts[0].MountPath + "/" + token.Path
	if token.Audience != "sts.aliyuncs.com" || !slices.Contains(container.Args, "--oidc-token-file="+file) {
		t.Errorf("token for %s at %s, args %v: want the token for sts.aliyuncs.com where the manager looks", token.Audience, file, container.Args)
	}
}

func TestTheCollectorReachesTheManager(t *testing.T) {
	dep := into[appsv1.Deployment](t, render(t, `{tracing: {endpoint: "http://collector:4318"}, env: [{name: OTEL_TRACES_SAMPLER, value: always_off}]}`), "Deployment uploadtenant")
	want := []corev1.EnvVar{{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4318"}, {Name: "OTEL_TRACES_SAMPLER", Value: "always_off"}}
	if diff := cmp.Diff(want, dep.Spec.Template.Spec.Containers[0].Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestUninstallKeepsWhatTenantsNeed(t *testing.T) {
	all := render(t, configured)
	for _, key := range []string{"CustomResourceDefinition uploadtenants.oss.uploadtenant.io", "CustomResourceDefinition cloudaccounts.oss.uploadtenant.io"} {
		if got := all[key].GetAnnotations()["helm.sh/resource-policy"]; got != "keep" {
			t.Errorf("%s: helm.sh/resource-policy = %q, want keep", key, got)
		}
	}
	all = render(t, "crds: {keep: false}")
	if got := all["CustomResourceDefinition uploadtenants.oss.uploadtenant.io"].GetAnnotations()["helm.sh/resource-policy"]; got != "" {
		t.Errorf("with crds.keep=false: helm.sh/resource-policy = %q, want none", got)
	}
}

// TestTheAccountReachesTheManager follows the CloudAccount from the values to the manager's flag.
func TestTheAccountReachesTheManager(t *testing.T) {
	all := render(t, configured)
	content := into[corev1.ConfigMap](t, all, "ConfigMap uploadtenant-account").Data["account.yaml"]
	var account v1alpha1.CloudAccount
	if err := yaml.UnmarshalStrict([]byte(content), &account); err != nil {
		t.Fatal(err)
	}
	if account.Name != "default" || account.Spec.Region != "cn-hangzhou" || account.Spec.AccountID != "1234567890123456" {
		t.Errorf("account = %+v, want the one of the values", account)
	}
	template := into[appsv1.Deployment](t, all, "Deployment uploadtenant").Spec.Template
	if args := template.Spec.Containers[0].Args; !slices.Contains(args, "--account-file=/etc/uploadtenant/account/account.yaml") {
		t.Errorf("args = %v, want the account file", args)
	}
	changed := into[appsv1.Deployment](t, render(t, strings.Replace(configured, "c1", "c2", 1)), "Deployment uploadtenant").Spec.Template
	if template.Annotations["checksum/account"] == changed.Annotations["checksum/account"] {
		t.Error("another account does not restart the manager, so nobody would apply it")
	}
	rules := into[rbacv1.ClusterRole](t, all, "ClusterRole uploadtenant-account").Rules
	if len(rules) != 1 || !slices.Equal(rules[0].ResourceNames, []string{"default"}) {
		t.Errorf("rules = %v, want the right to write this one account", rules)
	}
}

func TestCRDsAreTheGeneratedOnes(t *testing.T) {
	all := render(t, "crds: {keep: false}")
	for _, plural := range []string{"uploadtenants", "cloudaccounts"} {
		raw, err := os.ReadFile(filepath.Join(root, "config/crd/oss.uploadtenant.io_"+plural+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := yaml.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		got := all["CustomResourceDefinition "+plural+".oss.uploadtenant.io"]
		gotRaw, err := got.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var gotSpec map[string]any
		if err := yaml.Unmarshal(gotRaw, &gotSpec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want["spec"], gotSpec["spec"]); diff != "" {
			t.Errorf("%s differs from config/crd (run make generate) (-want +got):\n%s", plural, diff)
		}
	}
}

func TestManagerHasLeastPrivilege(t *testing.T) {
	all := render(t, "")
	cluster := into[rbacv1.ClusterRole](t, all, "ClusterRole uploadtenant-manager")
	if len(cluster.Rules) == 0 {
		t.Fatal("the manager has no rights at all")
	}
	for _, rule := range slices.Concat(cluster.Rules, into[rbacv1.Role](t, all, "Role uploadtenant-manager").Rules) {
		if slices.Contains(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), "*") {
			t.Errorf("rule with a wildcard: %v", rule)
		}
		for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("rule with %s: %v", verb, rule)
			}
		}
	}
	for _, rule := range cluster.Rules {
		if !slices.Contains(rule.Resources, "secrets") {
			continue
		}
		// Ticket keys are rotated by update, which fails when somebody wrote meanwhile; who may delete and
		// create could replace them anyway.
		for _, verb := range []string{"list", "watch", "patch"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("the manager may %s the secrets of every namespace: %v", verb, rule)
			}
		}
	}
}
