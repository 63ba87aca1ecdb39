// Package convergence holds the tests that kill the manager at every step, and that lose the cluster.
package convergence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

const (
	accountID = "1234567890123456"
	namespace = "family"
)

var (
	cluster *rest.Config
	api     client.Client
)

func TestMain(m *testing.M) {
	os.Exit(kubeapi.Main(m, func(ctx context.Context, cfg *rest.Config) error {
		cluster = cfg
		scheme, err := controllers.Scheme()
		if err != nil {
			return err
		}
		if api, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
			return err
		}
		for _, name := range []string{namespace, "uploadtenant-system"} {
			if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
				return err
			}
		}
		go func() {
			if err := kubeapi.RunKubelet(ctx, cfg); err != nil {
				panic(err)
			}
		}()
		return api.Create(ctx, account())
	}))
}

func account() *v1alpha1.CloudAccount {
	return &v1alpha1.CloudAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.CloudAccountSpec{
			AccountID: accountID, Region: cloudtest.Region,
			Credentials: v1alpha1.AccountCredentials{Environment: &v1alpha1.EnvironmentCredentials{}},
			OIDC:        &v1alpha1.AccountOIDC{ProviderARN: "acs:ram::" + accountID + ":oidc-provider/p", Issuer: "https://issuer.example.com"},
		},
	}
}

func tenant() *v1alpha1.UploadTenant {
	return &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "album"},
		Spec: v1alpha1.UploadTenantSpec{
			Bucket: v1alpha1.BucketSpec{Name: "family-album", Prefix: "album/", CORS: &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com"}}},
			Limits: v1alpha1.LimitsSpec{Size: v1alpha1.SizeLimit{Max: resource.MustParse("1Mi")}, ContentTypes: []string{"image/jpeg"}},
			Auth:   v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json"}},
		},
	}
}

var errDead = errors.New("the process was killed")

// mortal dies after its dieAt-th write, be it to the cloud or to the API server: the write takes effect and
// nobody hears of it. 0 lives for ever.
type mortal struct {
	dieAt int
	kill  context.CancelFunc

	mu    sync.Mutex
	steps int
	dead  bool
}

// wrote counts a write.
func (m *mortal) wrote() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if m.steps++; m.steps == m.dieAt {
		m.dead = true
		m.kill()
		return errDead
	}
	return nil
}

func (m *mortal) alive() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	return nil
}

// transport carries requests of the manager to the API server.
type transport struct {
	*mortal
	next http.RoundTripper
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.alive(); err != nil {
		return nil, err
	}
	response, err := t.next.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet || strings.Contains(r.URL.Path, "/events") || strings.Contains(r.URL.Path, "/cloudaccounts") {
		return response, err
	}
	if err := t.wrote(); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

// run runs a manager that dies at its dieAt-th write until the test or the function stops it.
func run(t *testing.T, fake *cloudtest.Fake, dieAt int, change ...func(*controllers.Options)) (died func() bool, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &mortal{dieAt: dieAt, kill: cancel}
	fake.Hook(
		func(cloudtest.Call) error { return m.alive() },
		func(c cloudtest.Call) error {
			if c.Write() {
				return m.wrote()
			}
			return nil
		})
	cfg := rest.CopyConfig(cluster)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return transport{m, next} })
	opts := controllers.Options{
		Opener: fake, ClusterID: "cluster-one", Namespace: "uploadtenant-system", SignerImage: "signer:test",
		Interval: time.Hour, Concurrency: 2, MetricsAddress: "0", ProbeAddress: "0", Logger: logr.Discard(), SkipNameValidation: true,
	}
	for _, f := range change {
		f(&opts)
	}
	mgr, err := controllers.NewManager(ctx, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mgr.Start(ctx) // a killed manager may tell how it ended
	}()
	return func() bool { return m.alive() != nil }, func() { cancel(); <-done }
}

// waitUntil polls until the function is true.
func waitUntil(t *testing.T, what string, reached func() bool) {
	t.Helper()
	await.Nothing(t, func() string {
		if reached() {
			return ""
		}
		got := tenant()
		_ = api.Get(t.Context(), client.ObjectKeyFromObject(got), got)
		return fmt.Sprintf("not %s: %+v", what, got.Status.Conditions)
	})
}

func ready() bool {
	got := tenant()
	err := api.Get(context.Background(), client.ObjectKeyFromObject(got), got)
	return err == nil && meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReady) && got.Status.ObservedGeneration == got.Generation
}

func gone() bool {
	got := tenant()
	return client.IgnoreNotFound(api.Get(context.Background(), client.ObjectKeyFromObject(got), got)) == nil && got.UID == ""
}

func create(t *testing.T) {
	t.Helper()
	if err := api.Create(t.Context(), tenant()); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T) {
	t.Helper()
	if err := api.Delete(t.Context(), tenant()); err != nil {
		t.Fatal(err)
	}
}

// TestKillAtEveryStep kills the manager after each of its writes while it creates, updates and deletes a
// tenant. The next manager must reach the same state, in the cloud and in the cluster, every time.
func TestKillAtEveryStep(t *testing.T) {
	fake := cloudtest.New(accountID)
	_, stop := run(t, fake, 0)
	create(t)
	waitUntil(t, "ready", ready)
	wantReady, wantObjects := fake.State(), objects(t)
	update(t)
	waitUntil(t, "updated", ready)
	wantUpdated := fake.State()
	remove(t)
	waitUntil(t, "gone", gone)
	wantGone := fake.State()
	stop()
	if len(wantObjects) < 6 || len(objects(t)) != 0 || len(wantGone.Policies) != 0 || len(wantGone.Attached) != 0 {
		t.Fatalf("a tenant has the objects %v, and leaves %v and %+v", wantObjects, objects(t), wantGone)
	}
	if cmp.Equal(wantReady, wantUpdated) || len(wantGone.Roles) != 0 {
		t.Fatal("the steps change nothing, so that the test would prove nothing")
	}

	steps := []struct {
		name    string
		do      func(*testing.T)
		reached func() bool
		want    cloudtest.State
		objects []string
		least   int
	}{
		{"create", create, ready, wantReady, wantObjects, 12},
		{"update", update, ready, wantUpdated, wantObjects, 3},
		{"delete", remove, gone, wantGone, nil, 8},
	}
	for dieAt := 1; ; dieAt++ {
		fake, deaths := cloudtest.New(accountID), 0
		for _, step := range steps {
			died, stop := run(t, fake, dieAt)
			step.do(t)
			waitUntil(t, step.name+" or dead", func() bool { return died() || step.reached() })
			if died() {
				deaths++
				stop()
				_, stop = run(t, fake, 0)
				waitUntil(t, fmt.Sprintf("%s after a death at write %d", step.name, dieAt), step.reached)
			} else if dieAt < step.least {
				t.Errorf("%s ended before write %d", step.name, dieAt)
			}
			stop()
			if diff := cmp.Diff(step.want, fake.State()); diff != "" {
				t.Errorf("%s after a death at write %d (-want +got):\n%s", step.name, dieAt, diff)
			}
			if diff := cmp.Diff(step.objects, objects(t)); diff != "" {
				t.Errorf("objects of %s after a death at write %d (-want +got):\n%s", step.name, dieAt, diff)
			}
		}
		if deaths == 0 {
			t.Logf("survived a death at each of %d writes", dieAt-1)
			return
		}
	}
}

// objects are the kinds and names of what the manager has made in the cluster.
func objects(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, kind := range []string{
		"v1/Secret", "v1/ConfigMap", "v1/ServiceAccount", "v1/Service", "apps/v1/Deployment", "policy/v1/PodDisruptionBudget",
		"networking.k8s.io/v1/NetworkPolicy", "networking.k8s.io/v1/Ingress", "autoscaling/v2/HorizontalPodAutoscaler",
	} {
		version, name := path.Split(kind)
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: strings.TrimSuffix(version, "/"), Kind: name + "List"}}
		if err := api.List(t.Context(), list, client.MatchingLabels{"app.kubernetes.io/managed-by": "uploadtenant"}); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			found = append(found, name+" "+o.Namespace+"/"+o.Name)
		}
	}
	return found
}

func update(t *testing.T) {
	t.Helper()
	got := tenant()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
		t.Fatal(err)
	}
	before := got.DeepCopy()
	got.Spec.Bucket.CORS.AllowedOrigins = []string{"https://new.example.com"}
	got.Spec.Access.AllowDelete = new(bool)
	got.Spec.Limits.FilesPerRequest = new(int32)
	*got.Spec.Limits.FilesPerRequest = 7
	if err := api.Patch(t.Context(), got, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// TestLostClusterAdoptsEverything applies the same YAML to a cluster that remembers nothing.
func TestLostClusterAdoptsEverything(t *testing.T) {
	fake := cloudtest.New(accountID)
	_, stop := run(t, fake, 0)
	create(t)
	waitUntil(t, "ready", ready)
	stop()
	before := fake.State()

	lost := tenant()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(lost), lost); err != nil {
		t.Fatal(err)
	}
	lost.Finalizers = nil
	if err := api.Update(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	remove(t)
	waitUntil(t, "forgotten", gone)
	for _, list := range []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}} {
		err := api.DeleteAllOf(t.Context(), list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/managed-by": "uploadtenant"})
		if err != nil {
			t.Fatal(err)
		}
	}

	fake.Reset()
	_, stop = run(t, fake, 0)
	create(t)
	waitUntil(t, "ready again", ready)
	if writes := fake.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
	if diff := cmp.Diff(before, fake.State()); diff != "" {
		t.Errorf("cloud changed (-before +after):\n%s", diff)
	}
	remove(t)
	waitUntil(t, "gone", gone)
	stop()
}
