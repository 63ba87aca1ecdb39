package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

//go:embed manifests
var manifests embed.FS

// owner is the field manager of what the demo applies.
const owner = "uploadtenant-demo"

// patience bounds every wait. Only a failure takes that long: it is far above what a busy machine needs.
const patience = 5 * time.Minute

// applyFile applies a manifest after filling it in.
func (d *Demo) applyFile(ctx context.Context, name string, fill *strings.Replacer) error {
	data, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return err
	}
	objects, err := decode(fill.Replace(string(data)))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, o := range objects {
		if err := d.apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

func (d *Demo) apply(ctx context.Context, o *unstructured.Unstructured) error {
	err := d.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// ensureNamespace makes a namespace and marks it as the demo's. One that somebody else made is refused: the
// demo would change it and `make demo-down` would remove it.
func (d *Demo) ensureNamespace(ctx context.Context, name string) error {
	var ns corev1.Namespace
	err := d.client.Get(ctx, client.ObjectKey{Name: name}, &ns)
	switch {
	case err == nil && ns.Labels[marker] != "true":
		return fmt.Errorf("the cluster has a namespace %s that the demo did not make: use another cluster, or remove the namespace", name)
	case err == nil && ns.DeletionTimestamp != nil:
		if err := d.gone(ctx, &ns); err != nil {
			return err
		}
	case err == nil:
		return nil
	case !apierrors.IsNotFound(err):
		return err
	}
	ns = corev1.Namespace{}
	ns.Name, ns.Labels = name, map[string]string{marker: "true"}
	return d.client.Create(ctx, &ns)
}

// gone waits until an object does not exist.
func (d *Demo) gone(ctx context.Context, o client.Object) error {
	return d.until(ctx, func() (bool, string, error) {
		err := d.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, fmt.Sprintf("%s still exists", o.GetName()), err
	})
}

// rollout waits until a Deployment runs what it was last told to.
func (d *Demo) rollout(ctx context.Context, namespace, name string) error {
	return d.until(ctx, func() (bool, string, error) {
		var dep appsv1.Deployment
		if err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &dep); err != nil {
			return false, fmt.Sprintf("Deployment %s/%s: %v", namespace, name, err), client.IgnoreNotFound(err)
		}
		want := int32(1)
		if dep.Spec.Replicas != nil {
			want = *dep.Spec.Replicas
		}
		s := dep.Status
		if s.ObservedGeneration >= dep.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want {
			return true, "", nil
		}
		return false, fmt.Sprintf("Deployment %s/%s has %d of %d pods available", namespace, name, s.AvailableReplicas, want), nil
	})
}

// passing tells whether the API server may answer otherwise in a moment: it is busy, or does not know a new kind yet.
func passing(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// until polls a condition that also says what it waits for.
func (d *Demo) until(ctx context.Context, check func() (done bool, state string, err error)) error {
	deadline := d.opts.Now().Add(patience)
	for {
		done, state, err := check()
		if passing(err) {
			state, err = err.Error(), nil
		}
		if done || err != nil {
			return err
		}
		if d.opts.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", patience, state)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
