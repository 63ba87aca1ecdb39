package oss

import (
	"net/http"
	"strings"
)

// Names of operations that the dispatcher treats specially.
const (
	opPostObject = "PostObject"
	opOptions    = "OptionObject"
)

// route finds an operation: the first match in order wins.
type route struct {
	method string
	// sub is the query parameter that selects the operation, or "".
	sub string
	// also is a second parameter or, with the prefix "header:", a request header that must be present.
	also string
	op   string
}

// serviceRoutes are requests without a bucket.
var serviceRoutes = []route{
	{http.MethodGet, "regions", "", "DescribeRegions"},
	{http.MethodGet, "publicAccessBlock", "", "GetPublicAccessBlock"},
	{http.MethodPut, "publicAccessBlock", "", "PutPublicAccessBlock"},
	{http.MethodDelete, "publicAccessBlock", "", "DeletePublicAccessBlock"},
	{http.MethodGet, "", "", "ListBuckets"},
}

// bucketRoutes are requests to a bucket without a key. Configuration sub-resources follow in configRoutes.
var bucketRoutes = []route{
	{http.MethodOptions, "", "", opOptions},
	{http.MethodPost, "delete", "", "DeleteMultipleObjects"},
	{http.MethodGet, "bucketInfo", "", "GetBucketInfo"},
	{http.MethodGet, "location", "", "GetBucketLocation"},
	{http.MethodGet, "stat", "", "GetBucketStat"},
	{http.MethodGet, "uploads", "", "ListMultipartUploads"},
	{http.MethodGet, "versions", "", "ListObjectVersions"},
	{http.MethodGet, "policyStatus", "", "GetBucketPolicyStatus"},
	{http.MethodGet, "style", "styleName", "GetStyle"},
	{http.MethodGet, "style", "", "ListStyle"},
	{http.MethodPut, "style", "styleName", "PutStyle"},
	{http.MethodDelete, "style", "styleName", "DeleteStyle"},
	{http.MethodGet, "list-type", "", "ListObjectsV2"},
}

// plainBucketRoutes apply when no sub-resource did.
var plainBucketRoutes = []route{
	{http.MethodPut, "", "", "PutBucket"},
	{http.MethodGet, "", "", "ListObjects"},
	{http.MethodHead, "", "", "HeadBucket"},
	{http.MethodDelete, "", "", "DeleteBucket"},
	{http.MethodPost, "", "", opPostObject},
}

// objectRoutes are requests to a key.
var objectRoutes = []route{
	{http.MethodOptions, "", "", opOptions},
	{http.MethodPut, "acl", "", "PutObjectAcl"},
	{http.MethodGet, "acl", "", "GetObjectAcl"},
	{http.MethodPut, "tagging", "", "PutObjectTagging"},
	{http.MethodGet, "tagging", "", "GetObjectTagging"},
	{http.MethodDelete, "tagging", "", "DeleteObjectTagging"},
	{http.MethodPut, "symlink", "", "PutSymlink"},
	{http.MethodGet, "symlink", "", "GetSymlink"},
	{http.MethodHead, "objectMeta", "", "GetObjectMeta"},
	{http.MethodPost, "append", "", "AppendObject"},
	{http.MethodPost, "seal", "", "SealAppendObject"},
	{http.MethodPost, "restore", "", "RestoreObject"},
	{http.MethodPost, "cleanRestoredObject", "", "CleanRestoredObject"},
	{http.MethodPost, "uploads", "", "InitiateMultipartUpload"},
	{http.MethodPost, "uploadId", "", "CompleteMultipartUpload"},
	{http.MethodPut, "uploadId", "header:x-oss-copy-source", "UploadPartCopy"},
	{http.MethodPut, "uploadId", "partNumber", "UploadPart"},
	{http.MethodGet, "uploadId", "", "ListParts"},
	{http.MethodDelete, "uploadId", "", "AbortMultipartUpload"},
	{http.MethodPut, "", "header:x-oss-copy-source", "CopyObject"},
	{http.MethodPut, "", "", "PutObject"},
	{http.MethodGet, "", "", "GetObject"},
	{http.MethodHead, "", "", "HeadObject"},
	{http.MethodDelete, "", "", "DeleteObject"},
}

func operationTable() map[string]*operation {
	t := map[string]*operation{}
	add := func(name, action string, handle func(*request) *Error) *operation {
		op := &operation{name: name, action: action, handle: handle}
		t[name] = op
		return op
	}
	addService(add)
	addBucket(add)
	addConfig(add)
	addObject(add)
	addMultipart(add)
	addStyle(add)
	add(opPostObject, "", (*request).postObject)
	add(opOptions, "", (*request).preflight)
	return t
}

// adder enters an operation into the table. An empty action means that the handler authorises by itself.
type adder func(name, action string, handle func(*request) *Error) *operation

func (q *request) findOperation() *operation {
	switch q.level() {
	case levelService:
		return q.match(serviceRoutes)
	case levelObject:
		return q.match(objectRoutes)
	}
	if op := q.match(bucketRoutes); op != nil {
		return op
	}
	for _, c := range configs {
		if q.has(c.sub) {
			return q.server.operations[c.operation(q.r.Method)]
		}
	}
	for _, sub := range unsupportedConfigs {
		if q.has(sub) {
			return &operation{name: "Unsupported", noBucket: true, handle: func(*request) *Error {
				return notImplemented("?" + sub)
			}}
		}
	}
	return q.match(plainBucketRoutes)
}

func (q *request) match(routes []route) *operation {
	for _, r := range routes {
		if r.method != q.r.Method || r.sub != "" && !q.has(r.sub) || !q.matchAlso(r.also) {
			continue
		}
		return q.server.operations[r.op]
	}
	return nil
}

func (q *request) matchAlso(also string) bool {
	if also == "" {
		return true
	}
	if h, ok := strings.CutPrefix(also, "header:"); ok {
		return q.header(h) != ""
	}
	return q.has(also)
}
