package demo

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Addresses of the application's side.
const (
	SignerURL   = "http://" + SignerService + "." + AppNamespace + ".svc"
	appURL      = "http://album-app." + AppNamespace + ".svc"
	callbackURL = SignerURL + "/family/album/callback"
	eventsURL   = appURL + "/hooks/uploads"
)

// appSecrets are what the application knows: the key of its users' tokens.
type appSecrets struct{ jwt []byte }

// deployApplication makes what an application team has before it asks for uploads.
func (d *Demo) deployApplication(ctx context.Context) error {
	jwt, err := d.secret(ctx, AppNamespace, "album-jwt", "secret", func() string { return hex.EncodeToString(randomBytes(32)) })
	if err != nil {
		return err
	}
	d.secrets.jwt = []byte(jwt)
	if _, err := d.secret(ctx, AppNamespace, "album-events", "secret", func() string {
		return "whsec_" + base64.StdEncoding.EncodeToString(randomBytes(32))
	}); err != nil {
		return err
	}
	if err := d.applyFile(ctx, "app.yaml", strings.NewReplacer("${IMAGE}", d.images["demo-receiver"])); err != nil {
		return err
	}
	d.say("Secret album-jwt signs the users' tokens, Secret album-events the events")
	return d.rollout(ctx, AppNamespace, "album-app")
}

// applyTenant applies the sample tenant and shows its conditions until it is Ready.
func (d *Demo) applyTenant(ctx context.Context) error {
	tenant, err := d.sample("uploadtenant.yaml")
	if err != nil {
		return err
	}
	err = errors.Join(
		unstructured.SetNestedField(tenant.Object, callbackURL, "spec", "callback", "url"),
		unstructured.SetNestedField(tenant.Object, eventsURL, "spec", "events", "url"),
	)
	if err != nil {
		return err
	}
	if tenant.GetName() != Tenant || tenant.GetNamespace() != AppNamespace {
		return fmt.Errorf("config/samples/uploadtenant.yaml is %s/%s, the demo is written for %s/%s", tenant.GetNamespace(), tenant.GetName(), AppNamespace, Tenant)
	}
	// Asks for a look at the cloud even when the YAML did not change: the emulator may be new.
	asked := fmt.Sprintf("demo-%d", d.opts.Now().UnixNano())
	tenant.SetAnnotations(map[string]string{v1alpha1.AnnotationReconcileAt: asked})
	if err := d.apply(ctx, tenant); err != nil {
		return err
	}
	d.say("config/samples/uploadtenant.yaml, with callback.url and events.url inside the cluster")
	if err := d.tenantReady(ctx, asked); err != nil {
		return err
	}
	return d.renewSigner(ctx)
}

// tenantReady prints every change of a condition until the tenant is Ready.
func (d *Demo) tenantReady(ctx context.Context, asked string) error {
	shown := map[string]string{}
	return d.until(ctx, func() (bool, string, error) {
		var t v1alpha1.UploadTenant
		if err := d.client.Get(ctx, client.ObjectKey{Namespace: AppNamespace, Name: Tenant}, &t); err != nil {
			return false, "", err
		}
		if t.Status.ObservedGeneration != t.Generation || t.Status.LastHandledReconcileAt != asked {
			return false, "the manager has not looked at the tenant yet", nil
		}
		for _, c := range t.Status.Conditions {
			line := fmt.Sprintf("%-12s %-5s %s: %s", c.Type, c.Status, c.Reason, c.Message)
			if shown[c.Type] != line {
				d.say("%s", line)
				shown[c.Type] = line
			}
		}
		if c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			return c.Status == metav1.ConditionTrue, c.Reason + ": " + c.Message, nil
		}
		return false, "the tenant has no condition Ready", nil
	})
}

// renewSigner replaces signer pods that are older than the emulator: a new emulator is a new cloud, which
// knows nothing of the credentials that they hold.
func (d *Demo) renewSigner(ctx context.Context) error {
	var clouds, signers corev1.PodList
	if err := d.client.List(ctx, &clouds, client.InNamespace(CloudNamespace)); err != nil {
		return err
	}
	if err := d.client.List(ctx, &signers, client.InNamespace(AppNamespace), client.MatchingLabels{"app.kubernetes.io/name": "uploadtenant-signer"}); err != nil {
		return err
	}
	for i := range signers.Items {
		for _, c := range clouds.Items {
			if signers.Items[i].CreationTimestamp.Before(&c.CreationTimestamp) {
				d.say("the cloud is newer than the signer: starting the signer anew")
				if err := d.client.Delete(ctx, &signers.Items[i]); client.IgnoreNotFound(err) != nil {
					return err
				}
				if err := d.gone(ctx, &signers.Items[i]); err != nil {
					return err
				}
				break
			}
		}
	}
	d.net.Forget()
	return d.rollout(ctx, AppNamespace, SignerService)
}
