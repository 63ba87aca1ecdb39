package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// literals are the string constants of the Go files below the folders, tests apart.
func literals(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						out[text] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMetricsExist holds every metric that a page names against the code that registers it.
func TestMetricsExist(t *testing.T) {
	known := literals(t, "signer", "controllers", "cloud")
	metric := regexp.MustCompile(`\buploadtenant_[a-z_]+[a-z]`)
	seen := 0
	for _, p := range pages(t) {
		for _, name := range metric.FindAllString(p.text, -1) {
			seen++
			ofSigner, signer := strings.CutPrefix(name, "uploadtenant_signer_")
			if !known[name] && (!signer || !known[ofSigner]) {
				t.Errorf("%s names the metric %s, which nobody registers", p.name, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d metrics were found", seen)
	}
}

// TestCodesExist holds the codes that the pages for application developers explain against those that the signer sends.
func TestCodesExist(t *testing.T) {
	known := literals(t, "signer", "policy")
	code := regexp.MustCompile("`([a-z]+(?:_[a-z0-9]+)+)`")
	for _, name := range []string{"http-api", "authentication", "events", "deduplication"} {
		for _, suffix := range []string{".md", chinese} {
			p := read(t, filepath.Join(root, "docs/guides", name+suffix))
			for _, m := range code.FindAllStringSubmatch(p.prose, -1) {
				if metric := strings.HasPrefix(m[1], "uploadtenant_"); !metric && m[1] != "session_key" && !known[m[1]] { // WeChat's session_key is never read
					t.Errorf("%s explains %s, which the signer does not know", p.name, m[1])
				}
			}
		}
	}
}

// TestEveryFlagIsNamed: who reads the guide of the installation finds each flag of the manager.
func TestEveryFlagIsNamed(t *testing.T) {
	for _, suffix := range []string{".md", chinese} {
		p := read(t, filepath.Join(root, "docs/guides/install"+suffix))
		for name := range managerFlags(t) {
			if !strings.Contains(p.text, "`--"+name+"`") {
				t.Errorf("%s does not name --%s: add it to the table of the manager's flags", p.name, name)
			}
		}
	}
}
