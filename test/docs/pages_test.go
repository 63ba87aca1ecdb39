package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// block is one piece of code of a page, fenced or indented.
type block struct {
	line int
	// lang is what stands behind the fence, nothing for indented code.
	lang string
	text string
}

// link is what [text](target) leads to.
type link struct {
	line   int
	target string
}

// page is a Markdown file.
type page struct {
	// name relative to the root of the repository, with slashes.
	name string
	text string
	// levels of the headings, in order, and their anchors.
	levels  []int
	anchors []string
	code    []block
	links   []link
	// prose is the text without code, for what is looked for in words.
	prose string
}

// pages are all Markdown files of the repository that people wrote.
func pages(t *testing.T) []*page {
	t.Helper()
	var all []*page
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := path != root && strings.HasPrefix(d.Name(), "."); d.IsDir() && (hidden || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".md") {
			return nil
		}
		all = append(all, read(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d pages were found: this test looks in the wrong place", len(all))
	}
	return all
}

func read(t *testing.T, path string) *page {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(filepath.ToSlash(name), string(raw))
}

var (
	headingPattern = regexp.MustCompile(`^(#{1,6}) +(.*?) *$`)
	linkPattern    = regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)`)
	inlineCode     = regexp.MustCompile("`[^`]*`")
	listItem       = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
)

func parse(name, text string) *page {
	p := &page{name: name, text: text}
	var open *block // the block that is being read
	var fence string
	var prose []string
	previous := "" // the last line that is not code
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence != "" && trimmed == fence:
			p.code = append(p.code, *open)
			open, fence = nil, ""
			continue
		case fence != "":
			open.text += line + "\n"
			continue
		case strings.HasPrefix(trimmed, "```"):
			p.close(&open)
			fence = "```"
			open = &block{line: i + 1, lang: strings.TrimPrefix(trimmed, "```")}
			continue
		case strings.HasPrefix(line, "    ") && (open != nil || previous == "" && !inList(prose)):
			if open == nil {
				open = &block{line: i + 1}
			}
			open.text += line[4:] + "\n"
			continue
		case open != nil && trimmed == "":
			open.text += "\n"
			continue
		}
		p.close(&open)
		previous = trimmed
		prose = append(prose, line)
		p.see(i+1, line)
	}
	p.close(&open)
	p.prose = strings.Join(prose, "\n")
	return p
}

// close ends an indented block.
func (p *page) close(open **block) {
	if *open != nil {
		(*open).text = strings.TrimRight((*open).text, "\n") + "\n"
		p.code = append(p.code, **open)
		*open = nil
	}
}

// see reads a line of prose.
func (p *page) see(number int, line string) {
	if m := headingPattern.FindStringSubmatch(line); m != nil {
		p.levels = append(p.levels, len(m[1]))
		p.anchors = append(p.anchors, p.anchor(m[2]))
	}
	for _, m := range linkPattern.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
		p.links = append(p.links, link{number, m[1]})
	}
}

// anchor is how GitHub names a heading: a second one of the same name gets -1.
func (p *page) anchor(heading string) string {
	slug := regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	slug = strings.ReplaceAll(slug, " ", "-")
	if slices.Contains(p.anchors, slug) {
		slug += "-1"
	}
	return slug
}

// inList tells whether what comes next continues an item of a list, where four spaces are no code.
func inList(prose []string) bool {
	for _, line := range slices.Backward(prose) {
		if strings.TrimSpace(line) != "" {
			return listItem.MatchString(line) || strings.HasPrefix(line, "  ")
		}
	}
	return false
}

func TestParse(t *testing.T) {
	p := parse("x.md", "# A title\n\ntext [a](b.md#c) `[no](link)`\n\n    code\n\n    more\n\n- item\n\n      still the item\n\n```yaml\na: 1\n```\n\n## Über: uns!\n")
	if len(p.code) != 2 || p.code[0].text != "code\n\nmore\n" || p.code[1].lang != "yaml" || p.code[1].text != "a: 1\n" {
		t.Errorf("code: %+v", p.code)
	}
	if len(p.links) != 1 || p.links[0].target != "b.md#c" {
		t.Errorf("links: %+v", p.links)
	}
	if want := []string{"a-title", "über-uns"}; !slices.Equal(p.anchors, want) {
		t.Errorf("anchors: %v, want %v", p.anchors, want)
	}
}
