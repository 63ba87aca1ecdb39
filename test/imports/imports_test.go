package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/uploadtenant/uploadtenant"

// pkg is what `go list -json` tells about a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// rule says what the packages below a folder must not depend on. A folder and a forbidden path stand for
// themselves and everything below them.
type rule struct {
	// from lists folders of this module, relative to its root.
	from []string
	// forbid lists import paths; those that begin with "./" are folders of this module.
	forbid []string
	// allow lists exceptions to forbid.
	allow []string
	// direct judges the import lines only, not what comes in through third packages.
	direct bool
	// stdlibOnly forbids everything but the standard library and the rule's own folders.
	stdlibOnly bool
}

// rules are the import rules of docs/adr/0002-import-rules.md.
var rules = map[string]rule{
	"policy is pure: the standard library only": {
		from: []string{"policy"}, stdlibOnly: true,
	},
	"the signer knows no Kubernetes and nothing of the controller": {
		from:   []string{"signer", "cmd/signer"},
		forbid: []string{"k8s.io", "sigs.k8s.io", "./api", "./controllers", "./cloud", "./emulator", "./devmode"},
	},
	"controllers see cloud only through its interfaces": {
		from:   []string{"controllers"},
		forbid: []string{"./cloud/aliyun", "./emulator", "./devmode", "github.com/aliyun"},
	},
	"the emulator shares no code with what it judges": {
		from:   []string{"emulator", "cmd/emulator"},
		forbid: []string{"./api", "./policy", "./cloud", "./controllers", "./signer", "./devmode", "k8s.io", "sigs.k8s.io", "github.com/aliyun"},
	},
	"cloud interfaces know neither SDK nor Kubernetes": {
		from:   []string{"cloud"},
		forbid: []string{"./api", "./controllers", "./emulator", "k8s.io/client-go", "sigs.k8s.io/controller-runtime"},
	},
	"only cloud/aliyun and the signer touch the Alibaba SDKs": {
		from:   []string{"api", "policy", "cloud", "controllers", "emulator", "devmode", "config", "cmd"},
		forbid: []string{"github.com/aliyun"},
		allow:  []string{"./cloud/aliyun"},
		direct: true,
	},
	"kubectl uploads reaches the cloud through the manager only": {
		from:   []string{"uploadsctl"},
		forbid: []string{"./cloud/aliyun", "./emulator", "./devmode", "github.com/aliyun"},
	},
	"nobody imports cmd": {
		from:   []string{"api", "policy", "cloud", "controllers", "signer", "emulator", "devmode", "uploadsctl", "config", "test"},
		forbid: []string{"./cmd"},
	},
}

func TestImportRules(t *testing.T) {
	pkgs := list(t)
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			for _, p := range pkgs {
				if violation := r.violation(p); violation != "" {
					t.Errorf("%s must not depend on %s", p.ImportPath, violation)
				}
			}
		})
	}
}

// TestRuleFindsViolations keeps the judge honest: a rule that matches nothing would pass for ever.
func TestRuleFindsViolations(t *testing.T) {
	tests := map[string]struct {
		rule rule
		pkg  pkg
		want string
	}{
		"forbidden through a third package": {
			rule: rules["the signer knows no Kubernetes and nothing of the controller"],
			pkg:  pkg{ImportPath: module + "/signer/ticket", Deps: []string{"fmt", "k8s.io/api/core/v1"}},
			want: "k8s.io/api/core/v1",
		},
		"a path that only begins alike is another path": {
			rule: rules["the signer knows no Kubernetes and nothing of the controller"],
			pkg:  pkg{ImportPath: module + "/signer", Deps: []string{"k8s.io.example.com/x", module + "/apiary"}},
		},
		"third party in a pure package": {
			rule: rules["policy is pure: the standard library only"],
			pkg:  pkg{ImportPath: module + "/policy", Deps: []string{"strings", "golang.org/x/text/cases"}},
			want: "golang.org/x/text/cases",
		},
		"an own package in a pure package": {
			rule: rules["policy is pure: the standard library only"],
			pkg:  pkg{ImportPath: module + "/policy", Deps: []string{"strings", module + "/policy/cors"}},
		},
		"exception": {
			rule: rules["only cloud/aliyun and the signer touch the Alibaba SDKs"],
			pkg:  pkg{ImportPath: module + "/cloud/aliyun", Imports: []string{"github.com/aliyun/alibaba-cloud-sdk-go/sdk"}},
		},
		"direct import": {
			rule: rules["only cloud/aliyun and the signer touch the Alibaba SDKs"],
			pkg:  pkg{ImportPath: module + "/cmd/manager", Imports: []string{"github.com/aliyun/alibaba-cloud-sdk-go/sdk"}},
			want: "github.com/aliyun/alibaba-cloud-sdk-go/sdk",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.rule.violation(tc.pkg); got != tc.want {
				t.Errorf("violation = %q, want %q", got, tc.want)
			}
		})
	}
}

// violation returns the first dependency of p that r forbids, or "".
func (r rule) violation(p pkg) string {
	if !within(p.ImportPath, r.from) || within(p.ImportPath, r.allow) {
		return ""
	}
	deps := p.Deps
	if r.direct {
		deps = p.Imports
	}
	for _, dep := range deps {
		if r.stdlibOnly && strings.Contains(firstSegment(dep), ".") && !within(dep, r.from) {
			return dep
		}
		if within(dep, r.forbid) && !within(dep, r.allow) {
			return dep
		}
	}
	return ""
}

// firstSegment of an import path; outside the standard library it holds a dot.
func firstSegment(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// within tells whether path is one of the roots or below one.
func within(path string, roots []string) bool {
	for _, root := range roots {
		if rel, ok := strings.CutPrefix(root, "./"); ok {
			root = module + "/" + rel
		} else if !strings.Contains(firstSegment(root), ".") {
			root = module + "/" + root
		}
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// list returns every package of the module with its dependency graph.
func list(t *testing.T) []pkg {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 3 {
		t.Fatalf("go list found only %d packages below %s", len(pkgs), root)
	}
	return pkgs
}
