package controllers

import (
	"context"
	"net/http/httptest"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

func TestReadyWhenTheCachesAreRead(t *testing.T) {
	for name, tc := range map[string]struct {
		tenantsRead bool
	}{
		"tenants missing": {false},
		"all read":        {true},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil)
			if err := cachesRead(informers{tenantsRead: tc.tenantsRead})(request); (err == nil) != tc.tenantsRead {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

// informers have read everything but, perhaps, the tenants.
type informers struct {
	cache.Informers
	tenantsRead bool
}

func (i informers) GetInformer(_ context.Context, kind client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	_, tenants := kind.(*v1alpha1.UploadTenant)
	return informer{synced: !tenants || i.tenantsRead}, nil
}

type informer struct {
	cache.Informer
	synced bool
}

func (i informer) HasSynced() bool { return i.synced }
