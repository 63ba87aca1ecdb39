package oss

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Image styles are names for values of x-oss-process.

// maxStyles is the number of styles of a bucket.
const maxStyles = 50

type styleXML struct {
	XMLName        xml.Name `xml:"Style" json:"-"`
	Name           string   `xml:",omitempty"`
	Category       string   `xml:",omitempty"`
	Content        string
	CreateTime     string `xml:",omitempty"`
	LastModifyTime string `xml:",omitempty"`
}

func addStyle(add adder) {
	add("PutStyle", "oss:PutStyle", (*request).putStyle)
	add("GetStyle", "oss:GetStyle", (*request).getStyle)
	add("ListStyle", "oss:ListStyle", (*request).listStyle)
	add("DeleteStyle", "oss:DeleteStyle", (*request).deleteStyle)
}

func styles(b *store.Bucket) map[string]styleXML {
	out := map[string]styleXML{}
	if raw := b.Config["style"]; raw != nil {
		_ = json.Unmarshal(raw, &out) // written by setStyles
	}
	return out
}

func (q *request) editStyles(edit func(map[string]styleXML) *Error, status int) *Error {
	err := q.server.store.UpdateBucket(q.bucket, func(b *store.Bucket) error {
		all := styles(b)
		if err := edit(all); err != nil {
			return err
		}
		raw, err := json.Marshal(all)
		b.Config["style"] = raw
		return err
	})
	if err != nil {
		return fromStore(err, q.bucket, "")
	}
	if status != http.StatusNoContent {
		q.w.Header().Set("Content-Length", "0")
	}
	q.w.WriteHeader(status)
	return nil
}

func (q *request) putStyle() *Error {
	var doc styleXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	doc.Name, doc.Category = q.param("styleName"), q.param("category")
	if doc.Category == "" {
		doc.Category = "image"
	}
	doc.CreateTime = q.now.UTC().Format(http.TimeFormat)
	doc.LastModifyTime = doc.CreateTime
	return q.editStyles(func(all map[string]styleXML) *Error {
		if old, ok := all[doc.Name]; ok {
			doc.CreateTime = old.CreateTime
		} else if len(all) >= maxStyles {
			return newError(http.StatusBadRequest, "TooManyStyles", "", "The bucket has %d styles already.", maxStyles)
		}
		all[doc.Name] = doc
		return nil
	}, http.StatusOK)
}

func (q *request) getStyle() *Error {
	s, ok := styles(q.info)[q.param("styleName")]
	if !ok {
		return newError(http.StatusNotFound, "NoSuchStyle", "", "The specified style does not exist.")
	}
	q.writeXML(http.StatusOK, s)
	return nil
}

func (q *request) listStyle() *Error {
	type list struct {
		XMLName xml.Name `xml:"StyleList"`
		Style   []styleXML
	}
	all := styles(q.info)
	var out list
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out.Style = append(out.Style, all[name])
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

func (q *request) deleteStyle() *Error {
	return q.editStyles(func(all map[string]styleXML) *Error {
		delete(all, q.param("styleName"))
		return nil
	}, http.StatusNoContent)
}
