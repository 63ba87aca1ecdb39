package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Down removes what the demo made: the whole local cluster, or from another cluster the tenant, the
// operator and the demo's namespaces.
func (d *Demo) Down(ctx context.Context) error {
	if d.local {
		_, err := d.command(ctx, "run", "-C", "hack/cluster", ".", "down")
		return err
	}
	return d.Run(ctx, []Step{
		{"The cluster", func(context.Context) error { return d.Connect() }, nil},
		{"The demo's namespaces are the demo's", d.checkOwnership, nil},
		{"The tenant, while the manager runs", d.removeTenants, look(OperatorNamespace, "deployment/"+Release)},
		{"The operator", d.removeOperator, look(OperatorNamespace, "deployment/"+Release)},
		{"The namespaces", d.removeNamespaces, []string{"kubectl get namespaces"}},
	})
}

func demoNamespaces() []string { return []string{AppNamespace, OperatorNamespace, CloudNamespace} }

func (d *Demo) checkOwnership(ctx context.Context) error {
	for _, name := range demoNamespaces() {
		var ns corev1.Namespace
		err := d.client.Get(ctx, client.ObjectKey{Name: name}, &ns)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if ns.Labels[marker] != "true" {
			return fmt.Errorf("namespace %s was not made by the demo; nothing has been removed", name)
		}
	}
	return nil
}

// removeTenants deletes the demo's tenant and waits for the manager to clean up after it.
func (d *Demo) removeTenants(ctx context.Context) error {
	t := &v1alpha1.UploadTenant{}
	t.Namespace, t.Name = AppNamespace, Tenant
	err := d.client.Delete(ctx, t)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.gone(ctx, t)
}

// removeOperator uninstalls the release, and then the account and the CRDs, which helm keeps: the namespaces
// belong to the demo, so the installation does too.
func (d *Demo) removeOperator(ctx context.Context) error {
	if _, err := d.command(ctx, "tool", "-modfile=hack/tools/helm/go.mod", "helm", "uninstall", Release,
		"--namespace", OperatorNamespace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	var errs []error
	crd := schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	for _, o := range []struct {
		gvk  schema.GroupVersionKind
		name string
	}{
		{v1alpha1.GroupVersion.WithKind("CloudAccount"), "default"},
		{crd, "uploadtenants.oss.uploadtenant.io"},
		{crd, "cloudaccounts.oss.uploadtenant.io"},
	} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(o.gvk)
		u.SetName(o.name)
		if err := d.client.Delete(ctx, u); err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (d *Demo) removeNamespaces(ctx context.Context) error {
	for _, name := range demoNamespaces() {
		ns := &corev1.Namespace{}
		ns.Name = name
		if err := d.client.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for _, name := range demoNamespaces() {
		ns := &corev1.Namespace{}
		ns.Name = name
		if err := d.gone(ctx, ns); err != nil {
			return err
		}
	}
	return nil
}

// FromEnvironment returns the options that KUBECONFIG and DEMO_REGISTRY ask for. A KUBECONFIG that is the
// local cluster's own counts as none.
func FromEnvironment(root string) Options {
	o := Options{Root: root, Kubeconfig: os.Getenv("KUBECONFIG"), Registry: os.Getenv("DEMO_REGISTRY"), Out: os.Stdout}
	if o.Kubeconfig == LocalKubeconfig() {
		o.Kubeconfig = ""
	}
	// The go commands run in the root of the checkout, whatever the folder of this program.
	files := filepath.SplitList(o.Kubeconfig)
	for i, f := range files {
		if abs, err := filepath.Abs(f); err == nil {
			files[i] = abs
		}
	}
	o.Kubeconfig = strings.Join(files, string(filepath.ListSeparator))
	return o
}
