package chart

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/accountfile"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// release runs helm against one API server.
type release struct {
	t          *testing.T
	kubeconfig string
}

func (r release) helm(values string, args ...string) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		r.t.Fatal(err)
	}
	args = append([]string{"tool", "-modfile=hack/tools/helm/go.mod", "helm"}, args...)
	if values != "" {
		args = append(args, "--values", file)
	}
	cmd := exec.CommandContext(r.t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.kubeconfig, "HELM_NAMESPACE=uploadtenant-system",
		"HELM_CACHE_HOME="+r.t.TempDir(), "HELM_CONFIG_HOME="+r.t.TempDir(), "HELM_DATA_HOME="+r.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("helm %s: %v\n%s", strings.Join(args[3:], " "), err, out)
	}
}

// startAPIServer starts one without the CRDs: here the chart must install them.
func startAPIServer(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	config, stop, err := kubeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	c := newClient(t, config)
	removeCRDs(t, c)
	return config, c
}

// asManager is the API server as the release's manager sees it.
func asManager(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:uploadtenant-system:uploadtenant",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:uploadtenant-system", "system:authenticated"},
	}
	return config
}

// awaitRight waits until the API server knows that the release's manager may do something: it learns of a new
// binding a moment after it has stored it.
func awaitRight(t *testing.T, config *rest.Config, right authorizationv1.ResourceAttributes) {
	t.Helper()
	manager := newClient(t, asManager(config))
	await.True(t, "the manager may "+right.Verb+" "+right.Resource+" "+right.Name, func() bool {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
		if err := manager.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		return review.Status.Allowed
	})
}

// TestInstallUpgradeUninstallInstall takes a release through its life on a real API server.
func TestInstallUpgradeUninstallInstall(t *testing.T) {
	config, c := startAPIServer(t)
	r := release{t: t, kubeconfig: writeKubeconfig(t, config)}
	get := func(obj client.Object, name, namespace string) error {
		return c.Get(t.Context(), client.ObjectKey{Name: name, Namespace: namespace}, obj)
	}
	// startManager does what the manager of the release does first, with the rights that the chart gives it.
	startManager := func(step string) *v1alpha1.CloudAccount {
		t.Helper()
		var file corev1.ConfigMap
		if err := get(&file, "uploadtenant-account", "uploadtenant-system"); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		name := filepath.Join(t.TempDir(), "account.yaml")
		if err := os.WriteFile(name, []byte(file.Data["account.yaml"]), 0o600); err != nil {
			t.Fatal(err)
		}
		awaitRight(t, config, authorizationv1.ResourceAttributes{Group: v1alpha1.GroupVersion.Group, Resource: "cloudaccounts", Name: "default", Verb: "patch"})
		applier := &accountfile.Applier{Client: newClient(t, asManager(config)), File: name, Logger: testr.New(t)}
		if err := applier.Start(t.Context()); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		got := &v1alpha1.CloudAccount{}
		if err := get(got, "default", ""); err != nil {
			t.Fatalf("%s: CloudAccount: %v", step, err)
		}
		return got
	}

	r.helm(configured, "install", "uploadtenant", "charts/uploadtenant", "--create-namespace")
	installed := startManager("install")

	withEndpoint := configured + "    endpoints: {sts: https://sts-vpc.cn-hangzhou.aliyuncs.com}\n"
	r.helm(withEndpoint, "upgrade", "uploadtenant", "charts/uploadtenant")
	if got := startManager("upgrade").Spec.Endpoints.STS; got != "https://sts-vpc.cn-hangzhou.aliyuncs.com" {
		t.Errorf("after the upgrade endpoints.sts = %q", got)
	}

	r.helm("", "uninstall", "uploadtenant")
	if err := get(&v1alpha1.CloudAccount{}, "default", ""); err != nil {
		t.Errorf("uninstalling took the CloudAccount, which tenants need to clean up: %v", err)
	}
	for _, name := range crdNames {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := get(crd, name, ""); err != nil || crd.DeletionTimestamp != nil {
			t.Errorf("uninstalling took the CRD %s, and every tenant with it: %v", name, err)
		}
	}
	if err := get(&appsv1.Deployment{}, "uploadtenant", "uploadtenant-system"); !apierrors.IsNotFound(err) {
		t.Errorf("the manager is still there: %v", err)
	}

	r.helm(configured, "install", "uploadtenant", "charts/uploadtenant")
	if again := startManager("second install"); again.UID != installed.UID {
		t.Error("the second install replaced the CloudAccount instead of changing it")
	}
}

var crdNames = []string{"uploadtenants.oss.uploadtenant.io", "cloudaccounts.oss.uploadtenant.io"}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func removeCRDs(t *testing.T, c client.Client) {
	t.Helper()
	for _, name := range crdNames {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := c.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
			return apierrors.IsNotFound(c.Get(ctx, client.ObjectKey{Name: name}, crd)), nil
		})
		if err != nil {
			t.Fatalf("%s does not go away: %v", name, err)
		}
	}
}

func writeKubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	out := clientcmdapi.NewConfig()
	out.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	out.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken}
	out.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	out.CurrentContext = "test"
	if !strings.Contains(config.Host, "://") {
		out.Clusters["test"].Server = "https://" + config.Host
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*out, file); err != nil {
		t.Fatal(err)
	}
	return file
}
