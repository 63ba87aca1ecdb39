package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/config/crd"
)

// specs are the pages that explain each kind, and the CRDs that they explain.
var specs = map[string]string{
	"docs/spec/uploadtenant.md": "oss.uploadtenant.io_uploadtenants.yaml",
	"docs/spec/cloudaccount.md": "oss.uploadtenant.io_cloudaccounts.yaml",
}

// foreign are fields whose parts Kubernetes itself documents.
var foreign = map[string]bool{"signer.resources": true, "conditions": true}

// fields lists the fields of a schema that hold a value, by path; an item of a list is path[].
func fields(schema apiextensionsv1.JSONSchemaProps, at string) map[string]field {
	out := map[string]field{}
	for name, sub := range schema.Properties {
		path := name
		if at != "" {
			path = at + "." + name
		}
		item, inner := sub, path
		if sub.Items != nil && sub.Items.Schema != nil && len(sub.Items.Schema.Properties) > 0 {
			item, inner = *sub.Items.Schema, path+"[]"
		}
		f := field{required: slices.Contains(schema.Required, name)}
		if sub.Default != nil {
			f.defaults = string(sub.Default.Raw)
		}
		if len(item.Properties) == 0 || foreign[path] {
			out[path] = f
			continue
		}
		if inner != path {
			out[path] = field{list: true}
		}
		maps.Copy(out, fields(item, inner))
	}
	return out
}

type field struct {
	required bool
	// list is true of a list of structs, whose row may be left out: its items have theirs.
	list bool
	// defaults is the value that the API server fills in, as JSON.
	defaults string
}

// row is one line of a table, by cells.
type row struct {
	line  int
	cells []string
}

// rows returns the lines of all tables whose first column is headed so.
func rows(t *testing.T, p *page, head string) []row {
	t.Helper()
	var out []row
	inside := false
	for i, line := range strings.Split(p.prose, "\n") {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[0] == head {
			inside = true
		} else if inside && !strings.HasPrefix(cells[0], "--") {
			out = append(out, row{i + 1, cells})
		}
	}
	return out
}

var quotedName = regexp.MustCompile("`([^`]+)`")

// names are the paths of a cell: one that starts with a dot stands beside the one before it.
func names(cell string) []string {
	var out []string
	for _, m := range quotedName.FindAllStringSubmatch(cell, -1) {
		name := m[1]
		if strings.HasPrefix(name, ".") && len(out) > 0 {
			before := out[len(out)-1]
			name = before[:strings.LastIndex(before, ".")] + name
		}
		out = append(out, name)
	}
	return out
}

func section(t *testing.T, p *page, heading string) *page {
	t.Helper()
	_, text, found := strings.Cut(p.text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", p.name, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return parse(p.name, text)
}

// TestEveryFieldIsExplained holds the tables of docs/spec against the CRDs: each field that holds a value has a row, with
// its default, and no row speaks of a field that does not exist.
func TestEveryFieldIsExplained(t *testing.T) {
	for name, file := range specs {
		p := read(t, filepath.Join(root, name))
		raw, err := crd.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var def apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(raw, &def); err != nil {
			t.Fatal(err)
		}
		schema := def.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			t.Run(name+" "+part, func(t *testing.T) {
				judge(t, fields(schema.Properties[part], ""), rows(t, section(t, p, part), "field"), part == "spec")
			})
		}
	}
}

func judge(t *testing.T, want map[string]field, table []row, defaults bool) {
	t.Helper()
	explained := map[string]bool{}
	for _, r := range table {
		for _, path := range names(r.cells[0]) {
			explained[path] = true
			f, exists := want[path]
			switch {
			case !exists && path == "credentials": // a struct that is explained as a whole
			case !exists:
				t.Errorf("the CRD has no field %s: remove its row, or name it as the CRD does", path)
			case defaults && f.defaults != "" && !strings.Contains(r.cells[1], plain(f.defaults)):
				t.Errorf("the default of %s is %s, and its row says %q", path, plain(f.defaults), r.cells[1])
			case defaults && f.required && !strings.Contains(r.cells[1], "required"):
				t.Errorf("%s is required, and its row says %q: write required where the default stands", path, r.cells[1])
			}
			if len(r.cells) < 2 || strings.TrimSpace(strings.Join(r.cells[1:], "")) == "" {
				t.Errorf("the row of %s says nothing", path)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if !explained[path] && !want[path].list {
			t.Errorf("no row explains %s: add | `%s` | default | meaning | to the table where its readers look for it", path, path)
		}
	}
}

// plain is a default as people write it; of a list, its first item.
func plain(raw string) string {
	text := strings.TrimPrefix(raw, "[")
	if text != raw {
		text, _, _ = strings.Cut(strings.TrimSuffix(text, "]"), ",")
	}
	if unquoted, err := strconv.Unquote(text); err == nil {
		return unquoted
	}
	return text
}

// constants of api/v1alpha1/conditions.go that begin so, by value.
func constants(t *testing.T, prefix string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api/v1alpha1/conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
				continue
			}
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[value] = name.Name
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("no constant begins with %s", prefix)
	}
	return out
}

// TestEveryConditionAndReasonIsExplained holds the tables of docs/spec against the constants of api/v1alpha1: who
// reads a condition in a terminal must find what it means and what to do.
func TestEveryConditionAndReasonIsExplained(t *testing.T) {
	tests := map[string]struct {
		prefix, head, what string
	}{
		"conditions":  {"Condition", "condition", "| `%s` | what True means |"},
		"reasons":     {"Reason", "reason", "| `%s` | condition | what to do |"},
		"annotations": {"Annotation", "annotation", "| `%s` | on | effect |"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			known, explained := constants(t, test.prefix), map[string]bool{}
			for page := range specs {
				for _, r := range rows(t, read(t, filepath.Join(root, page)), test.head) {
					if remedy := r.cells[len(r.cells)-1]; remedy == "" {
						t.Errorf("%s: the row %s says nothing", page, r.cells[0])
					}
					for _, value := range names(r.cells[0]) {
						value, _, _ = strings.Cut(value, ":")
						if explained[value] = true; known[value] == "" {
							t.Errorf("%s explains %s, which api/v1alpha1/conditions.go does not have", page, value)
						}
					}
				}
			}
			for value, constant := range known {
				if !explained[value] {
					t.Errorf("nobody explains %s (%s): add %s to docs/spec/uploadtenant.md or cloudaccount.md", value, constant, fmt.Sprintf(test.what, value))
				}
			}
		})
	}
}
