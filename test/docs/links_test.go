package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const chinese = ".zh-CN.md"

// byName makes pages findable.
func byName(all []*page) map[string]*page {
	out := map[string]*page{}
	for _, p := range all {
		out[p.name] = p
	}
	return out
}

// TestLinksLead follows every link of every page that stays in the repository, to the file and to the heading.
func TestLinksLead(t *testing.T) {
	all := byName(pages(t))
	seen := 0
	for _, p := range all {
		for _, l := range p.links {
			target, anchor, _ := strings.Cut(l.target, "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			seen++
			name := p.name
			if target != "" {
				name = path.Join(path.Dir(p.name), target)
			}
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s:%d: the link %s leads nowhere", p.name, l.line, l.target)
				continue
			}
			if anchor != "" && all[name] != nil && !slices.Contains(all[name].anchors, anchor) {
				t.Errorf("%s:%d: %s has no heading #%s", p.name, l.line, name, anchor)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links were found", seen)
	}
}

// TestTranslationsLinkToTranslations keeps a reader of Chinese in Chinese; the switch of the language may leave it.
func TestTranslationsLinkToTranslations(t *testing.T) {
	all := byName(pages(t))
	for _, p := range all {
		if !strings.HasSuffix(p.name, chinese) {
			continue
		}
		for _, l := range p.links {
			target, _, _ := strings.Cut(l.target, "#")
			name := path.Join(path.Dir(p.name), target)
			own := strings.TrimSuffix(p.name, chinese) + ".md"
			twin := strings.TrimSuffix(name, ".md") + chinese
			if strings.HasSuffix(name, ".md") && name != own && all[twin] != nil {
				t.Errorf("%s:%d: link to %s, which is the page in Chinese", p.name, l.line, twin)
			}
		}
	}
}

// TestGuidesHaveTwins holds each guide against its translation: the same headings, and the same code but for what
// people read in it, which is comments and what stands between < and >.
func TestGuidesHaveTwins(t *testing.T) {
	all := byName(pages(t))
	guides := 0
	for _, p := range all {
		if strings.HasSuffix(p.name, chinese) || path.Dir(p.name) != "docs/guides" && p.name != "README.md" {
			continue
		}
		guides++
		t.Run(p.name, func(t *testing.T) {
			twin := all[strings.TrimSuffix(p.name, ".md")+chinese]
			if twin == nil {
				t.Fatalf("there is no %s%s: translate the page", strings.TrimSuffix(p.name, ".md"), chinese)
			}
			if diff := cmp.Diff(p.levels, twin.levels); diff != "" {
				t.Errorf("levels of the headings (-English +Chinese); translate what is missing:\n%s", diff)
			}
			if diff := cmp.Diff(alike(p.code), alike(twin.code)); diff != "" {
				t.Errorf("code (-English +Chinese); it must be the same but for comments:\n%s", diff)
			}
			if !slices.ContainsFunc(p.links, func(l link) bool { return path.Join(path.Dir(p.name), l.target) == twin.name }) ||
				!slices.ContainsFunc(twin.links, func(l link) bool { return path.Join(path.Dir(p.name), l.target) == p.name }) {
				t.Error("the two pages do not link to each other: add the switch of the language below the title")
			}
		})
	}
	if guides < 15 {
		t.Errorf("only %d guides were found", guides)
	}
}

var (
	comment     = regexp.MustCompile(`(^|\s+)(#|//) .*$`)
	placeholder = regexp.MustCompile(`<[^<>]*>`)
	quoted      = regexp.MustCompile(`"[^"]*"`)
)

// alike is the code that must be alike in all languages. The labels of diagrams are text.
func alike(code []block) []string {
	var out []string
	for _, b := range code {
		var lines []string
		for line := range strings.Lines(b.text) {
			line = placeholder.ReplaceAllString(comment.ReplaceAllString(strings.TrimRight(line, "\n"), ""), "<>")
			if b.lang == "mermaid" {
				line = quoted.ReplaceAllString(line, `""`)
				line, _, _ = strings.Cut(line, ": ")
				line, _, _ = strings.Cut(line, " as ")
			}
			if line = strings.TrimRight(line, " "); line != "" {
				lines = append(lines, line)
			}
		}
		out = append(out, b.lang+"\n"+strings.Join(lines, "\n"))
	}
	return out
}

// TestEveryGuideIsListed makes sure that a reader of the README or of the index finds each page.
func TestEveryGuideIsListed(t *testing.T) {
	all := byName(pages(t))
	for _, index := range []string{"README.md", "README" + chinese, "docs/README.md", "docs/README" + chinese} {
		list := all[index]
		if list == nil {
			t.Errorf("there is no %s", index)
			continue
		}
		listed := map[string]bool{}
		for _, l := range list.links {
			listed[path.Join(path.Dir(index), l.target)] = true
		}
		for name := range all {
			if path.Dir(name) == "docs/guides" && strings.HasSuffix(name, chinese) == strings.HasSuffix(index, chinese) && !listed[name] {
				t.Errorf("%s does not list %s: add a link where its readers look", index, name)
			}
		}
	}
}

// TestTargetsExist holds every `make target` of the pages against the Makefile.
func TestTargetsExist(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(string(raw), -1) {
		targets[m[1]] = true
	}
	called := regexp.MustCompile("(?m)(?:`|^\\s*|&& )make((?: [a-z][a-z0-9-]*)+)")
	seen := 0
	for _, p := range pages(t) {
		for _, m := range called.FindAllStringSubmatch(p.text, -1) {
			for _, target := range strings.Fields(m[1]) {
				if seen++; !targets[target] {
					t.Errorf("%s names `make %s`, which the Makefile does not have", p.name, target)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d calls of make were found", seen)
	}
}
