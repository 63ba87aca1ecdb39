package iam

import (
	"sync"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
)

// documents keeps parsed policies, because every call evaluates several and they seldom change.
type documents struct {
	mu     sync.Mutex
	parsed map[documentKey]*policydoc.Document
}

type documentKey struct {
	kind policydoc.Type
	text string
}

// maxParsed bounds the memory that policies which are gone keep.
const maxParsed = 4096

// parse returns the document, nil when it is malformed. The document must not be changed.
func (d *documents) parse(kind policydoc.Type, text string) *policydoc.Document {
	key := documentKey{kind, text}
	d.mu.Lock()
	doc, ok := d.parsed[key]
	d.mu.Unlock()
	if ok {
		return doc
	}
	doc, err := policydoc.Parse(kind, []byte(text))
	if err != nil {
		doc = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parsed == nil || len(d.parsed) >= maxParsed {
		d.parsed = map[documentKey]*policydoc.Document{}
	}
	d.parsed[key] = doc
	return doc
}
