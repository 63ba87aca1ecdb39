package threats

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// declared returns the tests and fuzz targets of the repository by name, with their folders.
func declared(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for _, top := range []string{"api", "cmd", "controllers", "policy", "signer", "test"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
					names[f.Name.Name] = append(names[f.Name.Name], filepath.ToSlash(folder))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// rows returns the tests that each row of a page's table names.
func rows(t *testing.T, page string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/guides", page))
	if err != nil {
		t.Fatal(err)
	}
	row, name := regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|$`), regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	all := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = []string{}
		for _, n := range name.FindAllStringSubmatch(m[2], -1) {
			all[m[1]] = append(all[m[1]], n[1])
		}
	}
	return all
}

// Every threat names at least one test, and every test that is named exists; the translation names the same.
func TestEveryThreatHasItsTests(t *testing.T) {
	tests, english, chinese := declared(t), rows(t, "threat-model.md"), rows(t, "threat-model.zh-CN.md")
	if len(english) < 18 || len(chinese) != len(english) {
		t.Fatalf("%d threats in English and %d in Chinese", len(english), len(chinese))
	}
	for number, names := range english {
		if len(names) == 0 {
			t.Errorf("threat %s names no test", number)
		}
		for _, name := range names {
			if len(tests[name]) == 0 {
				t.Errorf("threat %s names %s, which does not exist", number, name)
			}
		}
		if got, want := strings.Join(chinese[number], " "), strings.Join(names, " "); got != want {
			t.Errorf("threat %s: the translation names %q, want %q", number, got, want)
		}
	}
}

// Every package of the signer that parses bytes from outside has a fuzz target.
func TestParsersOfOutsideBytesAreFuzzed(t *testing.T) {
	fuzzed := map[string]bool{}
	for name, folders := range declared(t) {
		for _, folder := range folders {
			fuzzed[folder] = fuzzed[folder] || strings.HasPrefix(name, "Fuzz")
		}
	}
	for folder, parses := range map[string]string{
		"signer":            "requests of clients",
		"signer/auth":       "tokens, key sets, answers of WeChat and of the application",
		"signer/callback":   "public keys and their URLs",
		"signer/config":     "the configuration",
		"signer/events":     "event secrets",
		"signer/mediacheck": "push messages of WeChat",
		"signer/oss":        "answers of OSS",
		"signer/sniff":      "uploaded content",
		"signer/sts":        "answers of STS",
		"signer/ticket":     "tickets and their keys",
		"policy":            "names, sizes and types of files",
	} {
		if !fuzzed[folder] {
			t.Errorf("%s parses %s and has no fuzz target", folder, parses)
		}
	}
}
