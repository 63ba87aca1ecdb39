package oss

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// config is a configuration sub-resource of a bucket: a document that is put, got and deleted as a whole.
type config struct {
	sub  string // the query parameter
	name string // as in PutBucketNAME, and in the RAM action
	root string // of the XML document; empty for JSON
	// check refuses a document; nil takes any with the right root.
	check func(q *request, body []byte) *Error
	// empty is what Get answers when nothing was put: a document, or with missing set an error.
	empty   string
	missing *Error
	// get and put replace the standard ways for sub-resources that are more than a document.
	get, put, remove func(q *request) *Error
	// undeletable sub-resources have no Delete.
	undeletable bool
	// opName replaces "Bucket"+name in operation names.
	opName string
}

func notConfigured(code, ec, message string) *Error {
	return newError(http.StatusNotFound, code, ec, "%s", message)
}

// configs are the sub-resources in the order in which a request is matched.
var configs = []config{
	{
		sub: "acl", name: "Acl", undeletable: true, get: (*request).getBucketACL, put: (*request).putBucketACL,
	},
	{
		sub: "cors", name: "Cors", root: "CORSConfiguration", check: checkCORS,
		missing: notConfigured("NoSuchCORSConfiguration", "0034-00000001", "The CORS Configuration does not exist."),
	},
	{
		sub: "lifecycle", name: "Lifecycle", root: "LifecycleConfiguration", check: checkLifecycle,
		missing: notConfigured("NoSuchLifecycle", "", "No Row found in Lifecycle Table."),
	},
	{
		sub: "policy", name: "Policy", check: checkBucketPolicy,
		missing: notConfigured("NoSuchBucketPolicy", "", "The bucket policy does not exist."),
	},
	{
		sub: "referer", name: "Referer", root: "RefererConfiguration", check: checkRefererConfig, undeletable: true,
		empty: "<RefererConfiguration><AllowEmptyReferer>true</AllowEmptyReferer><AllowTruncateQueryString>true</AllowTruncateQueryString><TruncatePath>false</TruncatePath><RefererList></RefererList></RefererConfiguration>",
	},
	{
		sub: "encryption", name: "Encryption", root: "ServerSideEncryptionRule", check: checkEncryption,
		missing: notConfigured("NoSuchServerSideEncryptionRule", "", "The server side encryption configuration does not exist."),
	},
	{
		sub: "versioning", name: "Versioning", undeletable: true,
		get: (*request).getBucketVersioning, put: (*request).putBucketVersioning,
	},
	{
		sub: "tagging", name: "Tagging", opName: "BucketTags",
		get: (*request).getBucketTags, put: (*request).putBucketTags, remove: (*request).deleteBucketTags,
	},
	{
		sub: "publicAccessBlock", name: "PublicAccessBlock",
		get: (*request).getPublicAccessBlock, put: (*request).putPublicAccessBlock, remove: (*request).deletePublicAccessBlock,
	},
	{
		sub: "httpsConfig", name: "HttpsConfig", root: "HttpsConfiguration", undeletable: true,
		empty: "<HttpsConfiguration><TLS><Enable>false</Enable></TLS></HttpsConfiguration>",
	},
	{
		sub: "logging", name: "Logging", root: "BucketLoggingStatus", empty: "<BucketLoggingStatus></BucketLoggingStatus>",
	},
	{
		sub: "userDefinedLogFieldsConfig", name: "Logging", opName: "UserDefinedLogFieldsConfig", root: "UserDefinedLogFieldsConfiguration",
		missing: notConfigured("NoSuchUserDefinedLogFieldsConfig", "", "The UserDefinedLogFieldsConfig does not exist."),
	},
	{
		sub: "website", name: "Website", root: "WebsiteConfiguration",
		missing: notConfigured("NoSuchWebsiteConfiguration", "", "The specified bucket does not have a website configuration."),
	},
	{
		sub: "requestPayment", name: "RequestPayment", root: "RequestPaymentConfiguration", undeletable: true,
		empty: "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
	},
	{
		sub: "transferAcceleration", name: "TransferAcceleration", root: "TransferAccelerationConfiguration", undeletable: true,
		missing: notConfigured("NoSuchTransferAccelerationConfiguration", "", "The transfer acceleration configuration does not exist."),
	},
	{
		sub: "accessmonitor", name: "AccessMonitor", root: "AccessMonitorConfiguration", undeletable: true,
		empty: "<AccessMonitorConfiguration><Status>Disabled</Status></AccessMonitorConfiguration>",
	},
	{
		sub: "bucketArchiveDirectRead", name: "ArchiveDirectRead", root: "ArchiveDirectReadConfiguration", undeletable: true,
		empty: "<ArchiveDirectReadConfiguration><Enabled>false</Enabled></ArchiveDirectReadConfiguration>",
	},
	{
		sub: "resourceGroup", name: "ResourceGroup", root: "BucketResourceGroupConfiguration", undeletable: true,
		check: checkResourceGroup,
		empty: "<BucketResourceGroupConfiguration><ResourceGroupId>" + defaultResourceGroup + "</ResourceGroupId></BucketResourceGroupConfiguration>",
	},
	{
		sub: "overwriteConfig", name: "OverwriteConfig", root: "OverwriteConfiguration", check: checkOverwriteConfig,
		empty: "<OverwriteConfiguration></OverwriteConfiguration>",
	},
}

// unsupportedConfigs are sub-resources that OSS has and the emulator refuses with 501, lest they be taken for an
// operation on the bucket itself.
var unsupportedConfigs = []string{
	"worm", "wormId", "wormExtend", "objectWorm", "inventory", "inventoryId", "replication", "replicationLocation", "replicationProgress", "rtc",
	"metaQuery", "accessPoint", "accessPointPolicy", "redundancyTransition", "dataAccelerator", "qosInfo",
	"resourcePool", "live", "vod", "metadataTableConfiguration", "quota", "bucketQuota", "cname", "objectProcessConfiguration", "objectProcess",
	"accessPointForObjectProcess", "x-oss-ac-subject",
}

func (c config) operation(method string) string {
	verb := map[string]string{http.MethodGet: "Get", http.MethodPut: "Put", http.MethodDelete: "Delete"}[method]
	if verb == "" || method == http.MethodDelete && c.undeletable {
		return ""
	}
	if c.opName != "" {
		return verb + c.opName
	}
	return verb + "Bucket" + c.name
}

func addConfig(add adder) {
	for _, c := range configs {
		get, put, remove := c.get, c.put, c.remove
		if get == nil {
			get = c.getDocument
		}
		if put == nil {
			put = c.putDocument
		}
		if remove == nil {
			remove = c.removeDocument
		}
		action := c.name
		for method, handle := range map[string]func(*request) *Error{
			http.MethodGet: get, http.MethodPut: put, http.MethodDelete: remove,
		} {
			name := c.operation(method)
			if name == "" {
				continue
			}
			verb, _, _ := strings.Cut(name, "Bucket")
			if c.opName != "" {
				verb = strings.TrimSuffix(name, c.opName)
			}
			add(name, "oss:"+verb+"Bucket"+action, handle)
		}
	}
}

func (c config) getDocument(q *request) *Error {
	doc := q.info.Config[c.sub]
	switch {
	case doc != nil && c.root == "":
		q.w.Header().Set("Content-Type", "application/json")
		q.w.WriteHeader(http.StatusOK)
		// A client that has gone away is not this server's failure.
		_, _ = q.w.Write(doc)
	case doc != nil:
		q.writeDocument(http.StatusOK, doc)
	case c.missing != nil:
		return c.missing.with("BucketName", q.bucket)
	default:
		q.writeDocument(http.StatusOK, []byte(xml.Header+c.empty))
	}
	return nil
}

func (c config) putDocument(q *request) *Error {
	body, err := q.readBody()
	if err != nil {
		return err
	}
	if c.root != "" {
		if err := checkRoot(body, c.root); err != nil {
			return err
		}
	}
	if c.check != nil {
		if err := c.check(q, body); err != nil {
			return err
		}
	}
	return q.updateBucket(func(b *store.Bucket) { b.Config[c.sub] = body }, http.StatusOK)
}

func (c config) removeDocument(q *request) *Error {
	return q.updateBucket(func(b *store.Bucket) { delete(b.Config, c.sub) }, http.StatusNoContent)
}

// updateBucket changes the bucket and answers without a body.
func (q *request) updateBucket(edit func(*store.Bucket), status int) *Error {
	if err := q.server.store.UpdateBucket(q.bucket, func(b *store.Bucket) error { edit(b); return nil }); err != nil {
		return fromStore(err, q.bucket, "")
	}
	if status != http.StatusNoContent {
		q.w.Header().Set("Content-Length", "0")
	}
	q.w.WriteHeader(status)
	return nil
}

// checkRoot refuses documents that are not well-formed XML with the given root element.
func checkRoot(body []byte, root string) *Error {
	d := xml.NewDecoder(bytes.NewReader(body))
	first := true
	for {
		token, err := d.Token()
		if token == nil {
			if first || err != nil && err.Error() != "EOF" {
				return malformedXML("", "")
			}
			return nil
		}
		if start, ok := token.(xml.StartElement); ok && first {
			first = false
			if start.Name.Local != root {
				return malformedXML("", "the root node is not named "+root+".")
			}
		}
	}
}
