package chart

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/go-logr/logr/testr"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// managerRole is the role of docs/guides/install.md.
const managerRole = "uploadtenant-manager"

// TestTheShippedRightsSuffice runs the real manager with nothing but the rights that the chart gives its
// ServiceAccount and docs/guides/manager-ram-policy.json gives its RAM role, through a tenant's life.
func TestTheShippedRightsSuffice(t *testing.T) {
	emu := emulatortest.Start(t)
	services := adminServices(t, emu)
	session := assumeManagerRole(t, emu, services)
	config, c := startAPIServer(t)
	release{t: t, kubeconfig: writeKubeconfig(t, config)}.helm("", "install", "uploadtenant", "charts/uploadtenant", "--create-namespace")
	create(t, c,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "family"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "aliyun", Namespace: "uploadtenant-system"}, StringData: map[string]string{
			"accessKeyId": session.AccessKeyId, "accessKeySecret": session.AccessKeySecret, "securityToken": session.SecurityToken,
		}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "album-jwt", Namespace: "family"}, StringData: map[string]string{
			"secret": "0123456789abcdef0123456789abcdef",
		}},
		emulatedAccount(emu), albumTenant())
	runManager(t, config)

	key := client.ObjectKey{Namespace: "family", Name: "album"}
	waitFor(t, c, key, func(tenant *v1alpha1.UploadTenant, err error) bool {
		return err == nil && meta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionReady)
	})
	var tenant v1alpha1.UploadTenant
	if err := c.Get(t.Context(), key, &tenant); err != nil {
		t.Fatal(err)
	}
	attachFullAccess(t, emu, filepath.Base(tenant.Status.Role.ARN))
	before := tenant.DeepCopy()
	metav1.SetMetaDataAnnotation(&tenant.ObjectMeta, v1alpha1.AnnotationReconcileAt, "now")
	if err := c.Patch(t.Context(), &tenant, client.MergeFrom(before)); err != nil { // the manager writes to it, too
		t.Fatal(err)
	}
	waitFor(t, c, key, func(tenant *v1alpha1.UploadTenant, err error) bool {
		return err == nil && tenant.Status.LastHandledReconcileAt == "now" && meta.IsStatusConditionTrue(tenant.Status.Conditions, v1alpha1.ConditionReady)
	})
	attached, err := services.Attachments.List(t.Context(), filepath.Base(tenant.Status.Role.ARN))
	if err != nil || len(attached) != 1 || attached[0].System {
		t.Errorf("policies of the role = %v, %v, want only the tenant's own", attached, err)
	}
	if err := c.Get(t.Context(), key, &tenant); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), &tenant); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, key, func(_ *v1alpha1.UploadTenant, err error) bool { return apierrors.IsNotFound(err) })
	role := filepath.Base(tenant.Status.Role.ARN)
	if _, found, err := services.Roles.Observe(t.Context(), role); found || err != nil {
		t.Errorf("the tenant is gone and its role %s is there: %v, %v", role, found, err)
	}
}

func adminServices(t *testing.T, emu *emulatortest.Instance) cloud.Services {
	t.Helper()
	services, err := aliyun.NewOpener(aliyun.Options{}).Open(cloud.Account{
		ID: emu.AccountID, Region: emu.Region,
		Endpoints:   cloud.Endpoints{OSS: emu.OSSURL, RAM: emu.APIURL, STS: emu.APIURL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: emu.AccessKeyID, AccessKeySecret: emu.AccessKeySecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return services
}

// attachFullAccess widens a role, as a person at the console might.
func attachFullAccess(t *testing.T, emu *emulatortest.Instance, role string) {
	t.Helper()
	client, err := ram.NewClientWithAccessKey(emu.Region, emu.AccessKeyID, emu.AccessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	request := ram.CreateAttachPolicyToRoleRequest()
	request.Scheme, request.Domain = "http", emu.APIURL[len("http://"):]
	request.PolicyType, request.PolicyName, request.RoleName = "System", "AliyunOSSFullAccess", role
	if _, err := client.AttachPolicyToRole(request); err != nil {
		t.Fatal(err)
	}
}

// assumeManagerRole makes the role of the installation guide and returns a session of it.
func assumeManagerRole(t *testing.T, emu *emulatortest.Instance, services cloud.Services) sts.Credentials {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(root, "docs/guides/manager-ram-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + emu.AccountID + `:root"]}}]}`
	ctx := t.Context()
	for _, err := range []error{
		services.Policies.Create(ctx, cloud.Policy{Name: managerRole, Document: string(document)}),
		services.Roles.Create(ctx, cloud.Role{Name: managerRole, TrustDocument: trust, MaxSessionDuration: time.Hour}),
		services.Attachments.Attach(ctx, managerRole, managerRole),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	client, err := sts.NewClientWithAccessKey(emu.Region, emu.AccessKeyID, emu.AccessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	request := sts.CreateAssumeRoleRequest()
	request.Scheme, request.Domain = "http", emu.APIURL[len("http://"):]
	request.RoleArn, request.RoleSessionName = "acs:ram::"+emu.AccountID+":role/"+managerRole, "test"
	response, err := client.AssumeRole(request)
	if err != nil {
		t.Fatal(err)
	}
	return response.Credentials
}

func emulatedAccount(emu *emulatortest.Instance) *v1alpha1.CloudAccount {
	return &v1alpha1.CloudAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.CloudAccountSpec{
			AccountID: emu.AccountID, Region: emu.Region,
			Credentials: v1alpha1.AccountCredentials{SecretRef: &v1alpha1.LocalSecretReference{Name: "aliyun"}},
			OIDC:        &v1alpha1.AccountOIDC{ProviderARN: "acs:ram::" + emu.AccountID + ":oidc-provider/c1", Issuer: "https://issuer.example.com"},
			Endpoints:   v1alpha1.AccountEndpoints{OSS: emu.OSSURL, RAM: emu.APIURL, STS: emu.APIURL},
		},
	}
}

func albumTenant() *v1alpha1.UploadTenant {
	return &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Name: "album", Namespace: "family"},
		Spec: v1alpha1.UploadTenantSpec{
			Bucket: v1alpha1.BucketSpec{Name: "family-album", Prefix: "album/", CORS: &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com"}}},
			Limits: v1alpha1.LimitsSpec{Size: v1alpha1.SizeLimit{Max: resource.MustParse("1Mi")}, ContentTypes: []string{"image/jpeg"}},
			Auth:   v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt"}}},
		},
	}
}

func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, obj := range objects {
		// The CRDs were created a moment ago: the API server needs a little until it serves them.
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
			err := c.Create(ctx, obj)
			if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
				return false, nil
			}
			return true, err
		})
		if err != nil {
			t.Fatalf("create %s: %v", obj.GetName(), err)
		}
	}
}

// runManager runs the manager with the rights of the release's ServiceAccount, and the stand-in for the
// kubelet with all.
func runManager(t *testing.T, config *rest.Config) {
	t.Helper()
	awaitRight(t, config, authorizationv1.ResourceAttributes{Resource: "namespaces", Name: "kube-system", Verb: "get"})
	ctx, cancel := context.WithCancel(context.Background())
	mgr, err := controllers.NewManager(ctx, asManager(config), controllers.Options{
		Opener: aliyun.NewOpener(aliyun.Options{}), Namespace: "uploadtenant-system", SignerImage: "signer:test",
		Interval: time.Hour, Concurrency: 2, MetricsAddress: "0", ProbeAddress: "0", LeaderElect: true, Logger: testr.New(t),
		SkipNameValidation: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- mgr.Start(ctx) }()
	go func() { done <- kubeapi.RunKubelet(ctx, config) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
}

func waitFor(t *testing.T, c client.Client, key client.ObjectKey, reached func(*v1alpha1.UploadTenant, error) bool) {
	t.Helper()
	tenant := &v1alpha1.UploadTenant{}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
		tenant = &v1alpha1.UploadTenant{}
		return reached(tenant, c.Get(ctx, key, tenant)), nil
	})
	if err != nil {
		t.Fatalf("%v; the tenant's conditions are %+v", err, tenant.Status.Conditions)
	}
}
