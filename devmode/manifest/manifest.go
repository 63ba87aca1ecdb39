// Package manifest reads the YAML of an upload tenant as the API server would: strictly, with the defaults
// and the validation rules of the generated CRDs, so that a file that dev mode accepts can be applied to a
// cluster, and a mistake gets the same message in both places.
package manifest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/config/crd"
)

// Manifest is what a file says about one tenant.
type Manifest struct {
	// Tenant with all defaults filled in. Its spec.auth may be empty: dev mode has its own tokens.
	Tenant *v1alpha1.UploadTenant
	// Account that the tenant refers to; nil when the file has none.
	Account *v1alpha1.CloudAccount
	// Secrets of the tenant's namespace, by name and key.
	Secrets map[string]map[string][]byte
	// Ignored names the documents that say nothing about the tenant, for example "Namespace family".
	Ignored []string
}

// InvalidError tells what the API server would refuse about one object.
type InvalidError struct {
	Kind   schema.GroupKind
	Name   string
	Errors field.ErrorList
}

// Error is the API server's text for one mistake, and kubectl's list for several.
func (e *InvalidError) Error() string {
	head := fmt.Sprintf("%s %q is invalid: ", e.Kind, e.Name)
	if len(e.Errors) == 1 {
		return head + e.Errors[0].Error()
	}
	lines := make([]string, 0, len(e.Errors))
	for _, err := range e.Errors {
		lines = append(lines, "\n  * "+err.Error())
	}
	return head + strings.Join(lines, "")
}

// Parse reads a file of one or more YAML documents: exactly one UploadTenant, and optionally the CloudAccount
// it refers to and Secrets. Every mistake of every document is reported.
func Parse(ctx context.Context, r io.Reader) (*Manifest, error) {
	schemas, err := loadSchemas(crd.FS, makeAuthOptional)
	if err != nil {
		return nil, err
	}
	return parse(ctx, schemas, r)
}

func parse(ctx context.Context, schemas map[schema.GroupVersionKind]*kindSchema, r io.Reader) (*Manifest, error) {
	p := &parser{schemas: schemas, secrets: map[string]map[string]map[string][]byte{}}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(r))
	var errs []error
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read YAML document %d: %w", n, err)
		}
		if err := p.document(ctx, doc); err != nil {
			errs = append(errs, fmt.Errorf("document %d: %w", n, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p.manifest()
}

// makeAuthOptional is the one thing that dev mode sees differently: it accepts dev tokens, so a tenant may
// leave out how real users prove who they are.
func makeAuthOptional(kind string, root *apiextensions.JSONSchemaProps) {
	if kind != "UploadTenant" {
		return
	}
	spec := root.Properties["spec"]
	var required []string
	for _, name := range spec.Required {
		if name != "auth" {
			required = append(required, name)
		}
	}
	spec.Required = required
	root.Properties["spec"] = spec
}

type parser struct {
	schemas  map[schema.GroupVersionKind]*kindSchema
	tenants  []*v1alpha1.UploadTenant
	accounts []*v1alpha1.CloudAccount
	secrets  map[string]map[string]map[string][]byte // namespace, name, key
	ignored  []string
}

func (p *parser) document(ctx context.Context, doc []byte) error {
	raw, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return fmt.Errorf("not valid YAML: %w", err)
	}
	if bytes.Equal(raw, []byte("null")) {
		return nil // only comments
	}
	var obj map[string]any
	if err := utiljson.Unmarshal(raw, &obj); err != nil {
		return fmt.Errorf("not a Kubernetes object: %w", err)
	}
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	if apiVersion == "" || kind == "" {
		return errors.New("not a Kubernetes object: apiVersion and kind must be set")
	}
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	if gvk == corev1.SchemeGroupVersion.WithKind("Secret") {
		return p.secret(raw)
	}
	if gvk.Group != v1alpha1.GroupVersion.Group {
		p.ignored = append(p.ignored, strings.TrimSpace(kind+" "+nameOf(obj)))
		return nil
	}
	s, ok := p.schemas[gvk]
	if !ok {
		return fmt.Errorf("no kind %q in version %q: this program knows UploadTenant and CloudAccount of %s", kind, apiVersion, v1alpha1.GroupVersion)
	}
	if _, err := s.admit(ctx, obj); err != nil {
		return err
	}
	return p.add(kind, obj)
}

func (p *parser) add(kind string, obj map[string]any) error {
	into := func(typed any) error {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, typed); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return nil
	}
	if kind == "UploadTenant" {
		tenant := &v1alpha1.UploadTenant{}
		p.tenants = append(p.tenants, tenant)
		return into(tenant)
	}
	account := &v1alpha1.CloudAccount{}
	p.accounts = append(p.accounts, account)
	return into(account)
}

func (p *parser) secret(raw []byte) error {
	var secret corev1.Secret
	strict, err := json.UnmarshalStrict(raw, &secret)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if len(strict) > 0 {
		return fmt.Errorf("secret %q: %w", secret.Name, errors.Join(strict...))
	}
	if secret.Name == "" {
		return errors.New("a Secret needs metadata.name")
	}
	if secret.Namespace == "" {
		secret.Namespace = metav1.NamespaceDefault
	}
	data := map[string][]byte{}
	for key, value := range secret.Data {
		data[key] = value
	}
	for key, value := range secret.StringData { // wins over data, as in the API server
		data[key] = []byte(value)
	}
	if p.secrets[secret.Namespace] == nil {
		p.secrets[secret.Namespace] = map[string]map[string][]byte{}
	}
	p.secrets[secret.Namespace][secret.Name] = data
	return nil
}

func (p *parser) manifest() (*Manifest, error) {
	if len(p.tenants) != 1 {
		return nil, fmt.Errorf("the file has %d UploadTenants: dev mode runs exactly one (kind: UploadTenant, apiVersion: %s)", len(p.tenants), v1alpha1.GroupVersion)
	}
	tenant := p.tenants[0]
	m := &Manifest{Tenant: tenant, Secrets: p.secrets[tenant.Namespace], Ignored: p.ignored}
	var others []string
	for _, account := range p.accounts {
		if account.Name == tenant.Spec.AccountRef.Name {
			m.Account = account
		} else {
			others = append(others, account.Name)
		}
	}
	if m.Account == nil && len(others) > 0 {
		return nil, fmt.Errorf("spec.accountRef.name is %q, but the file has only CloudAccount %s: correct one of them, or leave CloudAccounts out",
			tenant.Spec.AccountRef.Name, strings.Join(others, ", "))
	}
	for _, name := range others {
		m.Ignored = append(m.Ignored, "CloudAccount "+name)
	}
	return m, nil
}

func nameOf(obj map[string]any) string {
	meta, _ := obj["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}
