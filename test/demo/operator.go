package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// installOperator runs helm as a platform team does, with values that name the images and the account.
func (d *Demo) installOperator(ctx context.Context) error {
	account, err := d.sample("cloudaccount.yaml")
	if err != nil {
		return err
	}
	for _, change := range []struct {
		value any
		path  []string
	}{
		{AccountID, []string{"spec", "accountID"}},
		{Region, []string{"spec", "region"}},
		{managerARN, []string{"spec", "credentials", "oidc", "roleARN"}},
		{providerARN, []string{"spec", "oidc", "providerARN"}},
		{d.issuer, []string{"spec", "oidc", "issuer"}},
		{map[string]any{"oss": CloudOSS, "ram": cloudAPI, "sts": cloudAPI}, []string{"spec", "endpoints"}},
		{[]any{CloudOSS + "/_emulator/"}, []string{"spec", "callbackKeys"}},
	} {
		if err := unstructured.SetNestedField(account.Object, change.value, change.path...); err != nil {
			return err
		}
	}
	d.say("config/samples/cloudaccount.yaml, with this cluster's issuer and the emulator's endpoints")
	manager, managerTag := splitTag(d.images["manager"])
	signer, signerTag := splitTag(d.images["signer"])
	values, err := json.Marshal(map[string]any{
		"image":   map[string]any{"repository": manager, "tag": managerTag},
		"signer":  map[string]any{"image": map[string]any{"repository": signer, "tag": signerTag}},
		"account": map[string]any{"name": "default", "spec": account.Object["spec"]},
	})
	if err != nil {
		return err
	}
	if err := d.helm(ctx, values); err != nil {
		return err
	}
	return d.until(ctx, func() (bool, string, error) {
		var a v1alpha1.CloudAccount
		if err := d.client.Get(ctx, client.ObjectKey{Name: "default"}, &a); err != nil {
			return false, "the manager has not applied CloudAccount default yet", client.IgnoreNotFound(err)
		}
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.ObservedGeneration != a.Generation {
			return false, "the manager has not looked at CloudAccount default yet", nil
		}
		if c.Status == metav1.ConditionTrue {
			d.say("CloudAccount default: Ready, %s", c.Message)
		}
		return c.Status == metav1.ConditionTrue, fmt.Sprintf("CloudAccount default: %s: %s", c.Reason, c.Message), nil
	})
}

func (d *Demo) helm(ctx context.Context, values []byte) error {
	file, err := os.CreateTemp("", "uploadtenant-values-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // a leftover holds nothing secret
	if _, err := file.Write(values); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	d.say("helm upgrade --install %s charts/uploadtenant --namespace %s --values …", Release, OperatorNamespace)
	_, err = d.command(ctx, "tool", "-modfile=hack/tools/helm/go.mod", "helm", "upgrade", "--install", Release,
		filepath.Join("charts", "uploadtenant"), "--namespace", OperatorNamespace, "--values", file.Name(), "--wait", "--timeout", patience.String())
	return err
}

// splitTag splits an image reference at its tag.
func splitTag(ref string) (repository, tag string) {
	i := strings.LastIndex(ref, ":")
	return ref[:i], ref[i+1:]
}

// sample reads one object of config/samples.
func (d *Demo) sample(name string) (*unstructured.Unstructured, error) {
	data, err := os.ReadFile(filepath.Join(d.opts.Root, "config", "samples", name))
	if err != nil {
		return nil, err
	}
	objects, err := decode(string(data))
	if err != nil || len(objects) != 1 {
		return nil, fmt.Errorf("config/samples/%s must hold one object: %w", name, err)
	}
	return objects[0], nil
}
