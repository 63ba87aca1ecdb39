// Package accounts opens the cloud services that a CloudAccount describes.
package accounts

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
)

// Keys of the Secret that credentials.secretRef names.
const (
	KeyAccessKeyID     = "accessKeyId"
	KeyAccessKeySecret = "accessKeySecret"
	KeySecurityToken   = "securityToken"
)

// Resolver opens accounts.
type Resolver struct {
	// Secrets reads Secrets of Namespace.
	Secrets client.Reader
	// Namespace of the manager, where credentials.secretRef looks.
	Namespace string
	// TokenFile is the manager's own projected service-account token.
	TokenFile string
	Opener    cloud.Opener
}

// Open returns the services of an account. Its errors are *outcome.Failure or of package cloud.
func (r *Resolver) Open(ctx context.Context, account *v1alpha1.CloudAccount) (cloud.Services, error) {
	credentials, err := r.credentials(ctx, account)
	if err != nil {
		return cloud.Services{}, err
	}
	return r.Opener.Open(cloud.Account{
		ID:     account.Spec.AccountID,
		Region: account.Spec.Region,
		Endpoints: cloud.Endpoints{
			OSS: account.Spec.Endpoints.OSS,
			RAM: account.Spec.Endpoints.RAM,
			STS: account.Spec.Endpoints.STS,
		},
		Credentials: credentials,
	})
}

func (r *Resolver) credentials(ctx context.Context, account *v1alpha1.CloudAccount) (cloud.Credentials, error) {
	spec := account.Spec.Credentials
	switch {
	case spec.OIDC != nil:
		return cloud.Credentials{OIDC: &cloud.OIDCCredentials{
			RoleARN:     spec.OIDC.RoleARN,
			ProviderARN: account.Spec.OIDC.ProviderARN, // validation requires it beside credentials.oidc
			TokenFile:   r.TokenFile,
		}}, nil
	case spec.SecretRef != nil:
		return r.secret(ctx, spec.SecretRef.Name)
	default:
		return cloud.Credentials{Environment: true}, nil
	}
}

func (r *Resolver) secret(ctx context.Context, name string) (cloud.Credentials, error) {
	var secret corev1.Secret
	err := r.Secrets.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return cloud.Credentials{}, outcome.Fail(cloud.Denied, v1alpha1.ReasonCredentialsNotFound,
			"credentials.secretRef: there is no Secret %s in namespace %s: create it with the keys %s and %s",
			name, r.Namespace, KeyAccessKeyID, KeyAccessKeySecret)
	}
	if err != nil {
		return cloud.Credentials{}, err
	}
	id, key := string(secret.Data[KeyAccessKeyID]), string(secret.Data[KeyAccessKeySecret])
	if id == "" || key == "" {
		return cloud.Credentials{}, outcome.Fail(cloud.Denied, v1alpha1.ReasonCredentialsNotFound,
			"credentials.secretRef: Secret %s in namespace %s must have the keys %s and %s",
			name, r.Namespace, KeyAccessKeyID, KeyAccessKeySecret)
	}
	return cloud.Credentials{Static: &cloud.StaticCredentials{
		AccessKeyID: id, AccessKeySecret: key, SecurityToken: string(secret.Data[KeySecurityToken]),
	}}, nil
}
