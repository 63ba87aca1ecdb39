package controllers_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

const (
	clusterID        = "cluster-one"
	managerNamespace = "uploadtenant-system"
)

var (
	cluster *rest.Config
	clouds  = &dispatcher{}
	// registry holds the manager's metrics.
	registry = prometheus.NewRegistry()
	// spans holds what the manager traced.
	spans = tracetest.NewSpanRecorder()
)

// TestMain runs one API server, one manager and a stand-in for the kubelet. Every test takes a cloud
// account of its own, so that tests do not see each other.
//
// When all of them ran, every reason of the API must have been told and have gone.
func TestMain(m *testing.M) {
	code := kubeapi.Main(m, func(ctx context.Context, cfg *rest.Config) error {
		cluster = cfg
		return startManager(ctx)
	})
	if code == 0 && ranAll() {
		problems, err := reasons.problems()
		if err != nil || len(problems) > 0 {
			fmt.Fprintln(os.Stderr, "reasons without a test:", strings.Join(problems, "; "), err)
			code = 1
		}
	}
	os.Exit(code)
}

// ranAll tells whether no flag left tests out.
func ranAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

func startManager(ctx context.Context) error {
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(cluster, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: managerNamespace}}); err != nil {
		return err
	}
	mgr, err := controllers.NewManager(ctx, cluster, controllers.Options{
		Opener:      clouds,
		Registry:    registry,
		Tracing:     sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		ClusterID:   clusterID,
		Namespace:   managerNamespace,
		SignerImage: "signer:test",
		Interval:    time.Hour,

		TicketKeyRotation: 24 * time.Hour,
		Concurrency:       8, MetricsAddress: "0", ProbeAddress: "0",
		Logger: testLogger(),
	})
	if err != nil {
		return err
	}
	go func() {
		if err := mgr.Start(ctx); err != nil && ctx.Err() == nil {
			panic(err)
		}
	}()
	go func() {
		if err := kubeapi.RunKubelet(ctx, cluster); err != nil {
			panic(err)
		}
	}()
	return nil
}

// testLogger writes the manager's log when TEST_LOG is set: tests run in parallel with it, not with each other.
func testLogger() logr.Logger {
	if os.Getenv("TEST_LOG") == "" {
		return logr.Discard()
	}
	return logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// dispatcher opens the in-memory account that a CloudAccount's id names.
type dispatcher struct {
	mu       sync.Mutex
	accounts map[string]*cloudtest.Fake
}

// Open returns the services of the fake that was registered for the account.
func (d *dispatcher) Open(account cloud.Account) (cloud.Services, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fake, ok := d.accounts[account.ID]
	if !ok {
		return cloud.Services{}, cloud.Errorf(cloud.Denied, "open", "no such account in this test")
	}
	return fake.Open(account)
}

func (d *dispatcher) add(id string, fake *cloudtest.Fake) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accounts == nil {
		d.accounts = map[string]*cloudtest.Fake{}
	}
	d.accounts[id] = fake
}

var serial atomic.Int64

// world is what one test works with: an account, a namespace and a client.
type world struct {
	testing.TB
	client.Client
	cloud     *cloudtest.Fake
	account   *v1alpha1.CloudAccount
	namespace string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	n := serial.Add(1)
	id := fmt.Sprintf("1000000000%06d", n)
	w := &world{TB: t, Client: c, cloud: cloudtest.New(id), namespace: fmt.Sprintf("team-%d", n)}
	clouds.add(id, w.cloud)
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.account = &v1alpha1.CloudAccount{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("account-%d", n)},
		Spec: v1alpha1.CloudAccountSpec{
			AccountID:   id,
			Region:      cloudtest.Region,
			Credentials: v1alpha1.AccountCredentials{Environment: &v1alpha1.EnvironmentCredentials{}},
			OIDC: &v1alpha1.AccountOIDC{
				ProviderARN: "acs:ram::" + id + ":oidc-provider/test",
				Issuer:      "https://kubernetes.default.svc",
			},
		},
	}
	return w
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.Create(w.Context(), o); err != nil {
		w.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

// tenant is a valid tenant of this world that needs no Secret.
func (w *world) tenant(name string, change ...func(*v1alpha1.UploadTenant)) *v1alpha1.UploadTenant {
	t := &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.UploadTenantSpec{
			AccountRef: v1alpha1.AccountReference{Name: w.account.Name},
			Bucket:     v1alpha1.BucketSpec{Name: "bucket-" + w.namespace, Prefix: name + "/"},
			Limits: v1alpha1.LimitsSpec{
				Size:         v1alpha1.SizeLimit{Max: resource.MustParse("20Mi")},
				ContentTypes: []string{"image/jpeg"},
			},
			Auth: v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json"}},
		},
	}
	for _, f := range change {
		f(t)
	}
	return t
}

func withOrigins(origins ...string) func(*v1alpha1.UploadTenant) {
	return func(t *v1alpha1.UploadTenant) {
		t.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: origins}
	}
}

// get reads the object anew; it returns false when it is gone.
func (w *world) get(o client.Object) bool {
	w.Helper()
	err := w.Get(w.Context(), client.ObjectKeyFromObject(o), o)
	if client.IgnoreNotFound(err) != nil {
		w.Fatalf("get %T: %v", o, err)
	}
	return err == nil
}

// eventually polls until the function returns an empty text, which otherwise says what is missing.
func (w *world) eventually(missing func() string) {
	w.Helper()
	await.Nothing(w, missing)
}

// awaitCondition waits until the condition has the status and reason at the current generation, and
// checks that the whole status is well-formed.
func (w *world) awaitCondition(o client.Object, kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	w.Helper()
	var got metav1.Condition
	w.eventually(func() string {
		if !w.get(o) {
			return "the object is gone"
		}
		conditions, observed := conditionsOf(o)
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil || observed != o.GetGeneration() || c.ObservedGeneration != o.GetGeneration() {
			return fmt.Sprintf("%s is not told yet: %+v", kind, conditions)
		}
		if c.Status != status || c.Reason != reason {
			return fmt.Sprintf("%s is %s (%s: %s), want %s (%s)", kind, c.Status, c.Reason, c.Message, status, reason)
		}
		got = *c
		return ""
	})
	reasons.awaited(o, kind, reason)
	conditions, observed := conditionsOf(o)
	if problems := checkConditions(conditions, o.GetGeneration(), observed); len(problems) > 0 {
		w.Errorf("status of %s is not well-formed: %s", o.GetName(), strings.Join(problems, "; "))
	}
	return got
}

func (w *world) awaitReady(o client.Object) {
	w.Helper()
	w.awaitCondition(o, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared)
}

func conditionsOf(o client.Object) ([]metav1.Condition, int64) {
	switch o := o.(type) {
	case *v1alpha1.UploadTenant:
		return o.Status.Conditions, o.Status.ObservedGeneration
	case *v1alpha1.CloudAccount:
		return o.Status.Conditions, o.Status.ObservedGeneration
	}
	panic(fmt.Sprintf("%T has no conditions", o))
}

// checkConditions returns what a status breaks of the rules that kubectl wait, kstatus and people rely on.
func checkConditions(conditions []metav1.Condition, generation, observed int64) []string {
	var problems []string
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	is := func(kind string) bool { return meta.IsStatusConditionTrue(conditions, kind) }

	for _, c := range conditions {
		if c.Reason == "" || c.Message == "" {
			complain("%s has no reason or message", c.Type)
		}
		if c.ObservedGeneration > generation {
			complain("%s observed generation %d before it existed", c.Type, c.ObservedGeneration)
		}
		if (c.Type == v1alpha1.ConditionReconciling || c.Type == v1alpha1.ConditionStalled) && c.Status != metav1.ConditionTrue {
			complain("%s must be True or absent", c.Type)
		}
	}
	busy, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	switch {
	case meta.FindStatusCondition(conditions, v1alpha1.ConditionReady) == nil:
		complain("Ready is missing")
	case is(v1alpha1.ConditionReady) && (busy || stalled):
		complain("Ready is True although Reconciling or Stalled is")
	case is(v1alpha1.ConditionReady) && observed != generation:
		complain("Ready is True for generation %d, not %d", observed, generation)
	case !is(v1alpha1.ConditionReady) && busy == stalled:
		complain("not ready, so exactly one of Reconciling and Stalled must be True")
	}
	return problems
}

// bucket is a bucket of this world's account that somebody else made.
func (w *world) bucket(name string) cloud.Bucket {
	return cloud.Bucket{Name: name, OwnerID: w.account.Spec.AccountID, Region: cloudtest.Region}
}
