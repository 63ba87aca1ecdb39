package oss

import (
	"encoding/xml"
	"net/http"
)

func (q *request) deleteObject() *Error {
	if err := q.authorize(q.versioned("oss:DeleteObject", "oss:DeleteObjectVersion"), q.key); err != nil {
		return err
	}
	d, err := q.server.store.DeleteObject(q.bucket, q.key, q.param("versionId"))
	if err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	if d.VersionID != "" {
		q.w.Header().Set("x-oss-version-id", d.VersionID)
	}
	if d.DeleteMarker {
		q.w.Header().Set("x-oss-delete-marker", "true")
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteRequest is the document of DeleteMultipleObjects.
type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Object  []struct {
		Key       string
		VersionId string
	}
}

type deleteResult struct {
	XMLName      xml.Name     `xml:"DeleteResult"`
	EncodingType string       `xml:",omitempty"`
	Deleted      []deletedXML `xml:"Deleted"`
}

type deletedXML struct {
	Key                   string
	VersionId             string `xml:",omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"`
}

// maxDeleteObjects is the number of keys in one DeleteMultipleObjects.
const maxDeleteObjects = 1000

func (q *request) deleteMultipleObjects() *Error {
	body, err := q.readBody()
	if err != nil {
		return err
	}
	var doc deleteRequest
	if err := parseXML(hideControls(body), &doc); err != nil {
		err.EC = "0016-00000608"
		return err
	}
	for i := range doc.Object {
		doc.Object[i].Key = showControls(doc.Object[i].Key)
	}
	if len(doc.Object) == 0 || len(doc.Object) > maxDeleteObjects {
		return malformedXML("0016-00000608", "the number of objects must be between 1 and 1000.")
	}
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	for _, item := range doc.Object {
		action := "oss:DeleteObject"
		if item.VersionId != "" {
			action = "oss:DeleteObjectVersion"
		}
		if err := checkKey(item.Key); err != nil {
			return err
		}
		if err := q.authorize(action, item.Key); err != nil {
			return err
		}
	}
	out := deleteResult{EncodingType: q.param("encoding-type")}
	for _, item := range doc.Object {
		d, err := q.server.store.DeleteObject(q.bucket, item.Key, item.VersionId)
		if err != nil {
			return fromStore(err, q.bucket, item.Key)
		}
		x := deletedXML{Key: encode(item.Key), VersionId: item.VersionId, DeleteMarker: d.DeleteMarker}
		if d.DeleteMarker {
			x.DeleteMarkerVersionId = d.VersionID
		}
		out.Deleted = append(out.Deleted, x)
	}
	if doc.Quiet {
		out.Deleted = nil
	}
	q.writeXML(http.StatusOK, out)
	return nil
}
