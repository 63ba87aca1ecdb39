package uploadtenant

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

// Kinds that a cluster may or may not have.
var (
	httpRouteKind      = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	serviceMonitorKind = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}
)

// optionalObjects makes the objects of kinds that a cluster may lack. They are read from the API server,
// rarely, because a cache cannot watch a kind that is not there.
func (r *Reconciler) optionalObjects(ctx context.Context, s *scope, in signerobjects.Input) error {
	route := signerobjects.HTTPRoute(in)
	if route != nil && !r.kinds.exists(r.Client.RESTMapper(), httpRouteKind, r.Clock()) {
		return outcome.Fail(cloud.Denied, v1alpha1.ReasonGatewayAPIMissing,
			"signer.exposure.gateway needs the Gateway API, which this cluster does not have: install its CRDs, or use signer.exposure.ingress")
	}
	if err := r.optionalObject(ctx, s, httpRouteKind, route); err != nil {
		return err
	}
	return r.optionalObject(ctx, s, serviceMonitorKind, signerobjects.ServiceMonitor(in))
}

func (r *Reconciler) optionalObject(ctx context.Context, s *scope, kind schema.GroupVersionKind, desired *unstructured.Unstructured) error {
	if !r.kinds.exists(r.Client.RESTMapper(), kind, r.Clock()) {
		return nil
	}
	return r.unlessFresh(s, kind.Kind, fingerprint(desired), func() error {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(kind)
		err := r.Direct.Get(ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.Name(s.tenant)}, live)
		switch {
		case client.IgnoreNotFound(err) != nil:
			return err
		case desired == nil && apierrors.IsNotFound(err), desired == nil && !metav1.IsControlledBy(live, s.original):
			return nil
		case desired == nil:
			s.changes.Note("delete", kind.Kind+" "+live.GetName(), "")
			if s.changes.DryRun {
				return nil
			}
			return client.IgnoreNotFound(r.Direct.Delete(ctx, live))
		}
		if err == nil {
			if err := notForeign(s, kind.Kind, live); err != nil {
				return err
			}
			if covered, err := signerobjects.Covers(live.Object, desired.Object); err != nil || covered {
				return err
			}
		}
		s.changes.Note("apply", kind.Kind+" "+desired.GetName(), "")
		if s.changes.DryRun {
			return nil
		}
		err = r.Direct.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(FieldOwner), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", kind.Kind, desired.GetName(), err)
		}
		return nil
	})
}

// optionalObjectsGone removes what the tenant has of the kinds that the cluster may lack.
func (r *Reconciler) optionalObjectsGone(ctx context.Context, s *scope) error {
	for _, kind := range []schema.GroupVersionKind{httpRouteKind, serviceMonitorKind} {
		if !r.kinds.exists(r.Client.RESTMapper(), kind, r.Clock()) {
			continue
		}
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(kind)
		err := r.Direct.Get(ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.Name(s.tenant)}, live)
		if err == nil && metav1.IsControlledBy(live, s.original) {
			uid := live.GetUID()
			err = r.Direct.Delete(ctx, live, client.Preconditions{UID: &uid})
		}
		// A CRD that was removed meanwhile took its objects along.
		if client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) {
			return err
		}
	}
	return nil
}

// kindMemory is how long a kind that is missing is not looked for again.
const kindMemory = 5 * time.Minute

// kinds remembers which optional kinds the cluster has: asking costs a discovery each time.
type kinds struct {
	keyedMutex
	known map[schema.GroupVersionKind]kindSeen
}

type kindSeen struct {
	exists bool
	at     time.Time
}

func (k *kinds) exists(mapper meta.RESTMapper, kind schema.GroupVersionKind, now time.Time) bool {
	defer k.lock("")()
	if seen, ok := k.known[kind]; ok && (seen.exists || now.Sub(seen.at) < kindMemory) {
		return seen.exists
	}
	_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil && !meta.IsNoMatchError(err) {
		return false
	}
	if k.known == nil {
		k.known = map[schema.GroupVersionKind]kindSeen{}
	}
	k.known[kind] = kindSeen{exists: err == nil, at: now}
	return err == nil
}
