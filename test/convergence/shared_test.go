package convergence

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
)

// TestTenantsOfABucketShareTheirReads lets six tenants of one bucket look at it at the same time, and counts
// the requests that reach OSS.
func TestTenantsOfABucketShareTheirReads(t *testing.T) {
	const tenants = 6
	emu := emulatortest.Start(t)
	hold := &holdBucketInfo{next: http.DefaultTransport, open: make(chan struct{})}
	registry := startSharing(t, emu, hold)
	shared := func(i int) *v1alpha1.UploadTenant {
		s := tenant()
		s.Name = fmt.Sprintf("shared-%d", i)
		s.Spec.AccountRef.Name, s.Spec.Bucket.Name, s.Spec.Bucket.Prefix = "emulated", "shared-album", s.Name+"/"
		return s
	}
	each := func(f func(*v1alpha1.UploadTenant)) {
		for i := range tenants {
			f(shared(i))
		}
	}
	each(func(s *v1alpha1.UploadTenant) { must(t, api.Create(t.Context(), s)) })
	each(func(s *v1alpha1.UploadTenant) {
		waitUntil(t, s.Name+" ready", func() bool {
			err := api.Get(t.Context(), client.ObjectKeyFromObject(s), s)
			return err == nil && meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionReady)
		})
	})

	before, sharedBefore := bucketInfos(t, emu), sharedReads(t, registry)
	hold.on.Store(true)
	each(func(s *v1alpha1.UploadTenant) {
		patch := []byte(`{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
		must(t, api.Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", patch)))
	})
	waitUntil(t, "one call for all", func() bool { return sharedReads(t, registry)-sharedBefore == tenants-1 })
	close(hold.open)
	each(func(s *v1alpha1.UploadTenant) {
		waitUntil(t, s.Name+" looked at", func() bool {
			err := api.Get(t.Context(), client.ObjectKeyFromObject(s), s)
			return err == nil && s.Status.LastHandledReconcileAt == "now" && meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionReady)
		})
	})
	if got := bucketInfos(t, emu) - before; got != 1 {
		t.Errorf("OSS got %d requests for the bucket of %d tenants, want 1", got, tenants)
	}
	each(func(s *v1alpha1.UploadTenant) { must(t, api.Delete(t.Context(), s)) })
	each(func(s *v1alpha1.UploadTenant) {
		waitUntil(t, s.Name+" gone", func() bool {
			return apierrors.IsNotFound(api.Get(t.Context(), client.ObjectKeyFromObject(s), s))
		})
	})
}

// startSharing runs a manager over the real SDKs until the test ends, for an account of its own.
func startSharing(t *testing.T, emu *emulatortest.Instance, transport http.RoundTripper) *prometheus.Registry {
	t.Helper()
	keys := map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": emu.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": emu.AccessKeySecret}
	sdks := aliyun.NewOpener(aliyun.Options{Transport: transport, Getenv: func(name string) string { return keys[name] }})
	registry := prometheus.NewRegistry()
	mgr, err := controllers.NewManager(t.Context(), cluster, controllers.Options{
		Opener: openerFunc(func(a cloud.Account) (cloud.Services, error) {
			if a.Endpoints.OSS != emu.OSSURL {
				return cloud.Services{}, cloud.Errorf(cloud.Denied, "open", "not an account of this test")
			}
			return sdks.Open(a)
		}),
		Registry: registry, ClusterID: "cluster-one", Namespace: "uploadtenant-system", SignerImage: "signer:test",
		Interval: time.Hour, Concurrency: 8, MetricsAddress: "0", ProbeAddress: "0", Logger: logr.Discard(), SkipNameValidation: true,
	})
	must(t, err)
	account := account()
	account.Name, account.Spec.Region = "emulated", cloudtest.Region
	account.Spec.AccountID = emu.AccountID
	account.Spec.Endpoints = v1alpha1.AccountEndpoints{OSS: emu.OSSURL, RAM: emu.APIURL, STS: emu.APIURL}
	must(t, api.Create(t.Context(), account))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { <-done }) // the test's context ends before its cleanup
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), account); err != nil {
			t.Error(err)
		}
	})
	return registry
}

// holdBucketInfo holds requests for a bucket's information while it is on, until it is opened.
type holdBucketInfo struct {
	next http.RoundTripper
	on   atomic.Bool
	open chan struct{}
}

// RoundTrip sends the request, sooner or later.
func (h *holdBucketInfo) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.on.Load() && r.URL.Query().Has("bucketInfo") {
		select {
		case <-h.open:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return h.next.RoundTrip(r)
}

// bucketInfos counts the requests for a bucket's information in the emulator's log.
func bucketInfos(t *testing.T, emu *emulatortest.Instance) int {
	t.Helper()
	response, err := http.Get(emu.OSSURL + "/_emulator/requests?operation=GetBucketInfo")
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	var log struct{ Items []struct{ Bucket string } }
	must(t, json.NewDecoder(response.Body).Decode(&log))
	n := 0
	for _, entry := range log.Items {
		if entry.Bucket == "shared-album" {
			n++
		}
	}
	return n
}

// sharedReads is how many reads of a bucket's information shared the call of another.
func sharedReads(t *testing.T, registry *prometheus.Registry) int {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != "uploadtenant_cloud_reads_shared_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "oss:GetBucketInfo" {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openerFunc is a cloud.Opener.
type openerFunc func(cloud.Account) (cloud.Services, error)

// Open opens an account.
func (f openerFunc) Open(a cloud.Account) (cloud.Services, error) { return f(a) }
