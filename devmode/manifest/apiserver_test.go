package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

const completeTenant = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: default}
spec:
  bucket: {name: family-album, prefix: album/, cors: {allowedOrigins: [https://h5.example.com]}}
  limits:
    size: {max: 20Mi}
    contentTypes: [image/jpeg]
  auth: {jwt: {secretRef: {name: album-jwt}}}
  events: {url: https://api.example.com/hooks, secretRef: {name: album-events}}
`

// TestTheAPIServerSaysTheSame holds defaults and messages against a real API server.
func TestTheAPIServerSaysTheSame(t *testing.T) {
	config, stop, err := kubeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := func(t *testing.T, file string) (*unstructured.Unstructured, error) {
		t.Helper()
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(file), &obj.Object); err != nil {
			t.Fatal(err)
		}
		return obj, c.Create(t.Context(), obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	}

	t.Run("defaults", func(t *testing.T) {
		created, err := server(t, completeTenant)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(t.Context(), strings.NewReader(completeTenant))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := created.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var want v1alpha1.UploadTenant
		if err := yaml.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Spec, m.Tenant.Spec); diff != "" {
			t.Errorf("spec (-API server +here):\n%s", diff)
		}
	})

	edits := map[string][2]string{
		"unknown field":     {"prefix: album/", "prefix: album/, prefx: x"},
		"two unknown":       {"limits:", "color: red\n  limits: {}\n  limit:"},
		"unknown metadata":  {"namespace: default", "namespace: default, label: {}"},
		"wrong type":        {"[image/jpeg]", "image/jpeg"},
		"missing field":     {"prefix: album/, ", ""},
		"pattern":           {"family-album", "Family_Album"},
		"rule":              {"20Mi", "6Gi"},
		"rule of two":       {"secretRef: {name: album-jwt}", "jwksURL: https://a.example.com/k, secretRef: {name: album-jwt}"},
		"duplicate":         {"[image/jpeg]", "[image/jpeg, image/jpeg]"},
		"several":           {"prefix: album/", "prefix: album/../"},
		"several rules":     {"max: 20Mi", "max: 20Mi, min: 30Mi"},
		"rule unchecked":    {"{max: 20Mi}", "{min: 30Mi}"},
		"not a quantity":    {"20Mi", "much"},
		"enum":              {"auth:", "grant: {signature: V9}\n  auth:"},
		"origin with path":  {"https://h5.example.com", "https://h5.example.com/app"},
		"bad name":          {"name: album,", "name: Album,"},
		"name too long":     {"name: album,", "name: " + strings.Repeat("a", 53) + ","},
		"null for required": {"name: family-album", "name: null"},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			if strings.Count(completeTenant, edit[0]) != 1 {
				t.Fatalf("the tenant has %q not exactly once", edit[0])
			}
			file := strings.Replace(completeTenant, edit[0], edit[1], 1)
			_, refused := server(t, file)
			if refused == nil {
				t.Fatal("the API server accepts it")
			}
			_, err := Parse(t.Context(), strings.NewReader(file))
			if diff := cmp.Diff(words(refused), words(err)); diff != "" {
				t.Errorf("message (-API server +here):\n%s", diff)
			}
		})
	}
}

// words is the message without the layout in which it is shown.
func words(err error) string {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		err = apierrors.NewInvalid(invalid.Kind, invalid.Name, invalid.Errors)
	}
	if err == nil {
		return "accepted"
	}
	text := strings.TrimPrefix(err.Error(), "document 1: ")
	_, text, found := strings.Cut(text, "strict decoding error: ")
	if !found {
		return strings.TrimPrefix(err.Error(), "document 1: ")
	}
	return strings.ReplaceAll(text, "\n", ", ")
}
