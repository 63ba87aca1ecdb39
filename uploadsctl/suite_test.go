package uploadsctl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

const (
	managerNamespace = "uploadtenant-system"
	patience         = time.Minute
)

var (
	cluster *rest.Config
	api     client.Client
	ossURL  string
)

// TestMain runs one API server, the real controllers on an emulated cloud, and a stand-in for the kubelet.
func TestMain(m *testing.M) {
	os.Exit(kubeapi.Main(m, start))
}

func start(ctx context.Context, cfg *rest.Config) error {
	cluster = cfg
	var err error
	if api, err = uploadsctl.NewClient(cfg); err != nil {
		return err
	}
	cloud, err := emulator.New(emulator.Options{
		AccessKeyID: emulator.DefaultAccessKeyID, AccessKeySecret: emulator.DefaultAccessKeySecret,
		AccountID: emulator.DefaultAccountID, Region: emulator.DefaultRegion,
	})
	if err != nil {
		return err
	}
	oss, ram := httptest.NewServer(cloud.OSS()), httptest.NewServer(cloud.API())
	context.AfterFunc(ctx, func() { oss.Close(); ram.Close(); _ = cloud.Close() })
	ossURL = oss.URL
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: managerNamespace}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "aliyun", Namespace: managerNamespace}, StringData: map[string]string{
			"accessKeyId": emulator.DefaultAccessKeyID, "accessKeySecret": emulator.DefaultAccessKeySecret,
		}},
		&v1alpha1.CloudAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.CloudAccountSpec{
			AccountID: emulator.DefaultAccountID, Region: emulator.DefaultRegion,
			Credentials: v1alpha1.AccountCredentials{SecretRef: &v1alpha1.LocalSecretReference{Name: "aliyun"}},
			OIDC: &v1alpha1.AccountOIDC{
				ProviderARN: "acs:ram::" + emulator.DefaultAccountID + ":oidc-provider/c1", Issuer: "https://issuer.example.com",
			},
			Endpoints: v1alpha1.AccountEndpoints{OSS: oss.URL, RAM: ram.URL, STS: ram.URL},
		}},
	} {
		if err := api.Create(ctx, o); err != nil {
			return err
		}
	}
	mgr, err := controllers.NewManager(ctx, cfg, controllers.Options{
		Opener: aliyun.NewOpener(aliyun.Options{}), ClusterID: "cluster-one", Namespace: managerNamespace, SignerImage: "signer:test",
		Interval: time.Hour, Concurrency: 4, MetricsAddress: "0", ProbeAddress: "0", Logger: logr.Discard(),
	})
	if err != nil {
		return err
	}
	for _, run := range []func() error{
		func() error { return mgr.Start(ctx) },
		func() error { return kubeapi.RunKubelet(ctx, cfg) },
	} {
		go func() {
			if err := run(); err != nil && ctx.Err() == nil {
				panic(err)
			}
		}()
	}
	return nil
}

var serial atomic.Int64

// person is somebody at a terminal, in a namespace of their own.
type person struct {
	*testing.T
	*uploadsctl.Session
	out, log *bytes.Buffer
}

func newPerson(t *testing.T) *person {
	t.Helper()
	p := &person{T: t, out: &bytes.Buffer{}, log: &bytes.Buffer{}}
	namespace := fmt.Sprintf("team-%d", serial.Add(1))
	p.Session = &uploadsctl.Session{Client: api, Config: cluster, Namespace: namespace, Now: time.Now, Out: p.out, Log: p.log}
	p.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	return p
}

func (p *person) create(objects ...client.Object) {
	p.Helper()
	for _, o := range objects {
		if err := p.Client.Create(p.Context(), o); err != nil {
			p.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// newTenant is a tenant that needs nothing but the account.
func (p *person) newTenant(name string, change ...func(*v1alpha1.UploadTenant)) *v1alpha1.UploadTenant {
	t := &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name},
		Spec: v1alpha1.UploadTenantSpec{
			Bucket: v1alpha1.BucketSpec{
				Name: "bucket-" + p.Namespace, Prefix: name + "/", CORS: &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com"}},
			},
			Limits: v1alpha1.LimitsSpec{Size: v1alpha1.SizeLimit{Max: resource.MustParse("20Mi")}, ContentTypes: []string{"image/jpeg"}},
			Auth:   v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json"}},
		},
	}
	for _, f := range change {
		f(t)
	}
	return t
}

func observed(t *v1alpha1.UploadTenant) { t.Spec.ManagementPolicy = v1alpha1.ManagementObserve }

// withoutSecret refers to a Secret that does not exist.
func withoutSecret(t *v1alpha1.UploadTenant) {
	t.Spec.Auth = v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt"}}}
}

// await polls until the tenant's condition has the reason.
func (p *person) await(name, kind, reason string) *v1alpha1.UploadTenant {
	p.Helper()
	t := &v1alpha1.UploadTenant{}
	await.Nothing(p.T, func() string {
		if err := p.Client.Get(p.Context(), client.ObjectKey{Namespace: p.Namespace, Name: name}, t); err != nil {
			p.Fatal(err)
		}
		if c := meta.FindStatusCondition(t.Status.Conditions, kind); c != nil && c.Reason == reason {
			return ""
		}
		return fmt.Sprintf("%s is not %s: %+v", kind, reason, t.Status.Conditions)
	})
	return t
}

// says runs a command and returns what it wrote, with the error's text behind it; the error must be the
// wanted one: nil, uploadsctl.ErrNo, or errTrouble for any other.
func (p *person) says(want error, do func(context.Context) error) string {
	p.Helper()
	p.out.Reset()
	p.log.Reset()
	err := do(p.Context())
	text := p.out.String() + p.log.String()
	switch {
	case errors.Is(err, uploadsctl.ErrNo), err == nil:
	default:
		text += err.Error()
		err = errTrouble
	}
	if !errors.Is(err, want) {
		p.Fatalf("the command ended with %v, want %v:\n%s", err, want, text)
	}
	return text
}

var errTrouble = errors.New("trouble")

func wait() uploadsctl.WaitOptions { return uploadsctl.WaitOptions{Wait: true, Timeout: patience} }

// eventually polls until done; the API server needs a moment to know a new right.
func (p *person) eventually(done func() bool) {
	p.Helper()
	await.Nothing(p.T, func() string {
		if done() {
			return ""
		}
		return fmt.Sprintf("the command still says:\n%s%s", p.out, p.log)
	})
}
