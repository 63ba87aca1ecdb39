package oss

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

type partXML struct {
	PartNumber    int
	LastModified  string
	ETag          string
	HashCrc64ecma string
	Size          int64
}

type listPartsResult struct {
	XMLName              xml.Name `xml:"ListPartsResult"`
	EncodingType         string   `xml:",omitempty"`
	Bucket, Key          string
	UploadId             string
	StorageClass         string
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Part                 []partXML
}

func (q *request) listParts() *Error {
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	limit, err := q.count("max-parts", 1000, 1, 1000)
	if err != nil {
		return err
	}
	marker, err := q.count("part-number-marker", 0, 0, maxParts)
	if err != nil {
		return err
	}
	u, parts, listErr := q.server.store.UploadParts(q.bucket, q.key, q.param("uploadId"))
	if listErr != nil {
		return q.uploadError(listErr, "0042-00000002")
	}
	out := listPartsResult{
		EncodingType: q.param("encoding-type"), Bucket: q.bucket, Key: encode(q.key), UploadId: u.ID,
		StorageClass: u.Object.StorageClass, PartNumberMarker: marker, MaxParts: limit,
	}
	for _, p := range parts {
		if p.Number <= marker {
			continue
		}
		if len(out.Part) == limit {
			out.IsTruncated = true
			break
		}
		out.Part = append(out.Part, partXML{p.Number, xmlTime(p.Modified), `"` + p.ETag + `"`, strconv.FormatUint(p.CRC64, 10), p.Size})
		out.NextPartNumberMarker = p.Number
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

type uploadXML struct {
	Key          string
	UploadId     string
	StorageClass string
	Initiated    string
}

type listUploadsResult struct {
	XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
	EncodingType       string   `xml:",omitempty"`
	Bucket             string
	KeyMarker          string
	UploadIdMarker     string
	NextKeyMarker      string
	NextUploadIdMarker string
	Delimiter          string
	Prefix             string
	MaxUploads         int
	IsTruncated        bool
	Upload             []uploadXML
	CommonPrefixes     []prefixXML
}

func (q *request) listMultipartUploads() *Error {
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	limit, err := q.count("max-uploads", 1000, 1, 1000)
	if err != nil {
		return err
	}
	uploads, listErr := q.server.store.Uploads(q.bucket)
	if listErr != nil {
		return fromStore(listErr, q.bucket, "")
	}
	prefix, delimiter, keyMarker, idMarker := q.param("prefix"), q.param("delimiter"), q.param("key-marker"), q.param("upload-id-marker")
	out := listUploadsResult{
		EncodingType: q.param("encoding-type"), Bucket: q.bucket, KeyMarker: encode(keyMarker), UploadIdMarker: idMarker,
		Delimiter: encode(delimiter), Prefix: encode(prefix), MaxUploads: limit,
	}
	lastPrefix := ""
	for _, u := range uploads {
		if !strings.HasPrefix(u.Key, prefix) || listedBefore(u, keyMarker, idMarker) {
			continue
		}
		common, isCommon := commonPrefix(u.Key, prefix, delimiter)
		if isCommon && common == lastPrefix {
			continue
		}
		if len(out.Upload)+len(out.CommonPrefixes) == limit {
			out.IsTruncated = true
			break
		}
		if isCommon {
			lastPrefix = common
			out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{encode(common)})
		} else {
			out.Upload = append(out.Upload, uploadXML{encode(u.Key), u.ID, u.Object.StorageClass, xmlTime(u.Initiated)})
		}
		out.NextKeyMarker, out.NextUploadIdMarker = encode(u.Key), u.ID
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIdMarker = "", ""
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

// listedBefore tells whether an upload lies on the pages before the markers.
func listedBefore(u store.Upload, keyMarker, idMarker string) bool {
	if keyMarker == "" || u.Key > keyMarker {
		return false
	}
	return u.Key < keyMarker || idMarker == "" || u.ID <= idMarker
}

// commonPrefix is the part of a key up to the first delimiter after the prefix.
func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" {
		return "", false
	}
	before, _, found := strings.Cut(key[len(prefix):], delimiter)
	return prefix + before + delimiter, found
}
