package chart

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// read decodes one document of config/ strictly.
func read[T any](t *testing.T, name string) *T {
	t.Helper()
	typed := new(T)
	if err := yaml.UnmarshalStrict(raw(t, name), typed); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return typed
}

// raw reads a file of config/.
func raw(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "config", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestKustomizeInstallsWhatTheChartInstalls keeps config/default from falling behind the chart.
func TestKustomizeInstallsWhatTheChartInstalls(t *testing.T) {
	all := render(t, "")
	chart := into[appsv1.Deployment](t, all, "Deployment uploadtenant")
	base := read[appsv1.Deployment](t, "manager/manager.yaml")
	if diff := cmp.Diff(chart.Spec.Template.Spec, base.Spec.Template.Spec); diff != "" {
		t.Errorf("config/manager/manager.yaml: pod (-chart +kustomize):\n%s", diff)
	}
	if diff := cmp.Diff(chart.Spec.Selector, base.Spec.Selector); diff != "" {
		t.Errorf("config/manager/manager.yaml: selector (-chart +kustomize):\n%s", diff)
	}
	for document := range bytes.SplitSeq(raw(t, "admission/tenancy.yaml"), []byte("\n---\n")) {
		var want map[string]any
		if err := yaml.Unmarshal(document, &want); err != nil {
			t.Fatal(err)
		}
		got := *into[map[string]any](t, all, fmt.Sprint(want["kind"], " uploadtenant-tenancy"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("templates/tenancy.yaml (-kustomize +chart):\n%s", diff)
		}
	}
	role := read[rbacv1.ClusterRole](t, "rbac/role.yaml")
	if diff := cmp.Diff(into[rbacv1.ClusterRole](t, all, "ClusterRole uploadtenant-manager").Rules, role.Rules); diff != "" {
		t.Errorf("config/rbac/role.yaml (run make generate) (-chart +kustomize):\n%s", diff)
	}
}
