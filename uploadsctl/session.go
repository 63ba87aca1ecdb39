// Package uploadsctl is what "kubectl uploads" does with a cluster: it shows tenants, asks the controller to
// act, reaches a signer's dead letters and, in package doctor, checks an installation. Everything is done
// with the caller's own rights, by the interface of the API server alone. The command line is in
// cmd/kubectl-uploads.
package uploadsctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// ErrNo is what a command returns when it worked and the answer is no: not ready, changes pending, a check
// that failed. Everything about it has been written to Out already.
var ErrNo = errors.New("the answer is no")

// fieldOwner of what the commands write.
const fieldOwner = "kubectl-uploads"

// Session is a person at work: a cluster, a namespace, and where to write.
type Session struct {
	Client client.Client
	// Config reaches what Client cannot: port-forwards and the API server's own version.
	Config *rest.Config
	// Namespace of the tenants that commands name.
	Namespace string
	// Now tells the time.
	Now func() time.Time
	// Out takes answers, Log takes remarks and progress.
	Out, Log io.Writer
}

// NewClient returns a client that knows the kinds which commands read.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// tenant reads one tenant.
func (s *Session) tenant(ctx context.Context, name string) (*v1alpha1.UploadTenant, error) {
	t := &v1alpha1.UploadTenant{}
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, t)
	if apierrors.IsNotFound(err) && !noSuchKind(err) {
		return nil, fmt.Errorf("there is no UploadTenant %q in namespace %s; see: kubectl uploads status -A", name, s.Namespace)
	}
	return t, Explain(err)
}

// noSuchKind tells whether the API server does not serve a kind at all: it then names no object.
func noSuchKind(err error) bool {
	var status apierrors.APIStatus
	return meta.IsNoMatchError(err) ||
		errors.As(err, &status) && apierrors.IsNotFound(err) && (status.Status().Details == nil || status.Status().Details.Name == "")
}

// Explain adds to an error of the API server what to do about it; nil stays nil.
func Explain(err error) error {
	var unreachable *url.Error
	switch {
	case err == nil:
		return nil
	case noSuchKind(err):
		return fmt.Errorf("the cluster does not know UploadTenants: install the operator (docs/guides/install.md), or name another cluster with --context: %w", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; ask for the role that it takes: view, edit and admin of a namespace cover the UploadTenants in it (-n names one)", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not accept these credentials; check --context and --user, or log in again: %w", err)
	case errors.As(err, &unreachable) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("the API server cannot be reached; check --kubeconfig, --context and the network: %w", err)
	}
	return err
}
