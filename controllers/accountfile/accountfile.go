// Package accountfile applies a CloudAccount that comes with the manager's installation. Helm cannot do it:
// a release that brings a CRD cannot hold an object of that kind.
package accountfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// FieldOwner of the fields that the file sets.
const FieldOwner = "uploadtenant-account-file"

// pause between attempts while the API server does not know the kind yet or cannot be reached.
const pause = 2 * time.Second

// Applier is a manager's Runnable that applies one file once.
type Applier struct {
	Client client.Client
	// File holds one CloudAccount in YAML.
	File   string
	Logger logr.Logger
}

// NeedLeaderElection keeps a standby of an older release from putting its account back.
func (a *Applier) NeedLeaderElection() bool { return true }

// Start applies the file. It tries again until the API server takes it, and fails when the API server
// refuses what the file says: the manager then ends and its log names the field.
func (a *Applier) Start(ctx context.Context) error {
	account, err := read(a.File)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, pause, true, func(ctx context.Context) (bool, error) {
		err := a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(account.DeepCopy()), client.FieldOwner(FieldOwner), client.ForceOwnership)
		switch {
		case err == nil:
			return true, nil
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err):
			return false, fmt.Errorf("apply CloudAccount %s of %s: %w", account.GetName(), a.File, err)
		default:
			a.Logger.Info("The CloudAccount cannot be applied yet", "account", account.GetName(), "error", err.Error())
			return false, nil
		}
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the manager ends before the API server was ready, which is no failure
	}
	if err != nil {
		return err
	}
	a.Logger.Info("Applied the CloudAccount of the installation", "account", account.GetName())
	return nil
}

// read returns the file's CloudAccount.
func read(file string) (*unstructured.Unstructured, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the account file: %w", err)
	}
	account := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(raw, &account.Object); err != nil {
		return nil, fmt.Errorf("%s is not YAML: %w", file, err)
	}
	if account.GroupVersionKind() != v1alpha1.GroupVersion.WithKind("CloudAccount") || account.GetName() == "" {
		return nil, fmt.Errorf("%s: %w", file, errors.New("expected one CloudAccount of "+v1alpha1.GroupVersion.String()+" with a name"))
	}
	// The typed form would write empty fields; it only finds unknown ones, which the API server reports as
	// its own failure when they are applied.
	if err := yaml.UnmarshalStrict(raw, &v1alpha1.CloudAccount{}); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return account, nil
}
