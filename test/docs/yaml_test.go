package docs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/devmode/manifest"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// bases are what a piece of a spec is put into, so that the whole can be judged.
var bases = map[string]string{
	"UploadTenant": `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: piece, namespace: default}
spec:
  bucket: {name: family-album, prefix: album/}
  limits: {size: {max: 20Mi}, contentTypes: [image/jpeg]}
  auth: {jwt: {secretRef: {name: album-jwt}}}
`,
	"CloudAccount": `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: CloudAccount
metadata: {name: piece}
spec:
  accountID: "1234567890123456"
  region: cn-hangzhou
  credentials: {environment: {}}
`,
}

// TestTheAPIServerTakesWhatThePagesSay sends every YAML of every page to a real API server: whole objects as they are,
// pieces of a spec inside a whole one, values of the chart through helm.
func TestTheAPIServerTakesWhatThePagesSay(t *testing.T) {
	api := startAPI(t)
	counts := map[string]int{}
	for _, p := range pages(t) {
		for _, b := range p.code {
			if b.lang != "yaml" {
				continue
			}
			t.Run(fmt.Sprintf("%s:%d", p.name, b.line), func(t *testing.T) {
				for _, doc := range documents(t, b.text) {
					counts[api.judge(t, doc)]++
				}
			})
		}
	}
	for what, least := range map[string]int{"object": 10, "piece": 5, "values": 4} {
		if counts[what] < least {
			t.Errorf("only %d times %s among the pages' YAML", counts[what], what)
		}
	}
}

// TestTheAPIServerTakesTheSamples sends every sample to a real API server; the one of dev mode has no auth.
func TestTheAPIServerTakesTheSamples(t *testing.T) {
	api := startAPI(t)
	files, err := filepath.Glob(filepath.Join(root, "config/samples/*.yaml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(raw, []byte("# ")) {
				t.Error("a sample begins with a comment: what it is for and what it needs")
			}
			if filepath.Base(file) == "dev.yaml" {
				if _, err := manifest.Parse(t.Context(), bytes.NewReader(raw)); err != nil {
					t.Error(err)
				}
				return
			}
			for _, doc := range documents(t, string(raw)) {
				if what := api.judge(t, doc); what != "object" {
					t.Errorf("a document is not an object but %s", what)
				}
			}
		})
	}
}

func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		doc := map[string]any{}
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("not YAML: %v", err)
		}
		if len(doc) > 0 {
			out = append(out, doc)
		}
	}
}

type api struct{ client.Client }

func startAPI(t *testing.T) api {
	t.Helper()
	log.SetLogger(logr.Discard())
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
	return api{c}
}

// judge finds out what a document is, has it judged, and returns what it is.
func (a api) judge(t *testing.T, doc map[string]any) string {
	t.Helper()
	if doc["apiVersion"] != nil {
		a.create(t, doc)
		return "object"
	}
	if unknown := unknownValue(chartValues(t), doc, ""); unknown == "" {
		a.values(t, doc)
		return "values"
	} else if doc["account"] != nil || doc["image"] != nil {
		t.Errorf("the chart has no value %s", unknown)
		return "values"
	}
	spec, ok := doc["spec"].(map[string]any)
	if !ok {
		spec = doc
	}
	kind := "UploadTenant"
	if spec["accountID"] != nil || spec["credentials"] != nil || spec["tenancy"] != nil || spec["endpoints"] != nil || spec["oidc"] != nil || spec["callbackKeys"] != nil {
		kind = "CloudAccount"
	}
	whole := map[string]any{}
	if err := yaml.Unmarshal([]byte(bases[kind]), &whole); err != nil {
		t.Fatal(err)
	}
	whole["spec"] = merged(whole["spec"].(map[string]any), spec)
	a.create(t, whole)
	return "piece"
}

// create asks the API server whether it would take an object.
func (a api) create(t *testing.T, doc map[string]any) {
	t.Helper()
	obj := &unstructured.Unstructured{Object: doc}
	if obj.GetNamespace() != "" {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: obj.GetNamespace()}}
		if err := a.Create(t.Context(), namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	err := a.Create(t.Context(), obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Errorf("%s %s: %v", obj.GetKind(), obj.GetName(), err)
	}
}

// values renders the chart with the values, by its schema, and has the account judged that comes out.
func (a api) values(t *testing.T, doc map[string]any) {
	t.Helper()
	raw, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=hack/tools/helm/go.mod", "helm", "template", "uploadtenant",
		"charts/uploadtenant", "--kube-version", "1.30.0", "--values", file)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, stderr.String())
	}
	for _, rendered := range documents(t, string(out)) {
		obj := unstructured.Unstructured{Object: rendered}
		if text, found, _ := unstructured.NestedString(rendered, "data", "account.yaml"); found && obj.GetKind() == "ConfigMap" {
			for _, account := range documents(t, text) {
				a.create(t, account)
			}
		}
	}
	known := managerFlags(t)
	args, _ := doc["extraArgs"].([]any)
	for _, arg := range args {
		if m := regexp.MustCompile(`^--([a-z-]+)(=.*)?$`).FindStringSubmatch(fmt.Sprint(arg)); m == nil || !known[m[1]] {
			t.Errorf("the manager has no flag %v", arg)
		}
	}
}

func managerFlags(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "cmd/manager/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, m := range regexp.MustCompile(`flag\.\w+\(&[\w.]+, "([a-z-]+)"`).FindAllStringSubmatch(string(raw), -1) {
		flags[m[1]] = true
	}
	if len(flags) == 0 {
		t.Fatal("no flag of the manager was found")
	}
	return flags
}

func chartValues(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "charts/uploadtenant/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(raw, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// unknownValue is the first path of got that values.yaml does not have. What is an empty map there takes any key.
func unknownValue(values, got map[string]any, at string) string {
	for key, value := range got {
		known, ok := values[key]
		if !ok {
			return at + key
		}
		inner, isMap := known.(map[string]any)
		sub, subMap := value.(map[string]any)
		if !isMap || len(inner) == 0 || !subMap {
			continue
		}
		if unknown := unknownValue(inner, sub, at+key+"."); unknown != "" {
			return unknown
		}
	}
	return ""
}

// merged is base with what over says; auth and credentials are choices, so that they are replaced as a whole.
func merged(base, over map[string]any) map[string]any {
	for key, value := range over {
		below, isMap := value.(map[string]any)
		old, wasMap := base[key].(map[string]any)
		if isMap && wasMap && key != "auth" && key != "credentials" {
			base[key] = merged(old, below)
			continue
		}
		base[key] = value
	}
	return base
}

// TestSetValuesExist holds every --set of the pages' commands against the chart.
func TestSetValuesExist(t *testing.T) {
	set := regexp.MustCompile(`--set(?:-string)? ["']?([A-Za-z.]+)=`)
	values := chartValues(t)
	for _, p := range pages(t) {
		for _, m := range set.FindAllStringSubmatch(p.text, -1) {
			var nested any = true
			path := strings.Split(m[1], ".")
			for i := len(path) - 1; i >= 0; i-- {
				nested = map[string]any{path[i]: nested}
			}
			if unknown := unknownValue(values, nested.(map[string]any), ""); unknown != "" {
				t.Errorf("%s: the chart has no value %s", p.name, unknown)
			}
		}
	}
}
