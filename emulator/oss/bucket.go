package oss

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func addService(add adder) {
	add("ListBuckets", "oss:ListBuckets", (*request).listBuckets)
	add("DescribeRegions", "oss:DescribeRegions", (*request).describeRegions)
	add("GetPublicAccessBlock", "oss:GetPublicAccessBlock", (*request).getAccountAccessBlock)
	add("PutPublicAccessBlock", "oss:PutPublicAccessBlock", (*request).putAccountAccessBlock)
	add("DeletePublicAccessBlock", "oss:DeletePublicAccessBlock", (*request).deleteAccountAccessBlock)
}

func addBucket(add adder) {
	add("PutBucket", "oss:PutBucket", (*request).putBucket).noBucket = true
	add("DeleteBucket", "oss:DeleteBucket", (*request).deleteBucket)
	add("HeadBucket", "oss:GetBucketInfo", (*request).headBucket)
	add("ListObjects", "oss:ListObjects", (*request).listObjects)
	add("ListObjectsV2", "oss:ListObjects", (*request).listObjectsV2)
	add("ListObjectVersions", "oss:ListObjectVersions", (*request).listObjectVersions)
	add("GetBucketInfo", "oss:GetBucketInfo", (*request).getBucketInfo)
	add("GetBucketLocation", "oss:GetBucketLocation", (*request).getBucketLocation)
	add("GetBucketStat", "oss:GetBucketStat", (*request).getBucketStat)
	add("GetBucketPolicyStatus", "oss:GetBucketPolicyStatus", (*request).getBucketPolicyStatus)
}

// maxBuckets is the quota of an account in a region.
const maxBuckets = 100

type createBucketConfiguration struct {
	XMLName            xml.Name `xml:"CreateBucketConfiguration"`
	LocationConstraint string
	StorageClass       string
	DataRedundancyType string
}

// putBucket creates a bucket, or sets the ACL of the caller's own.
func (q *request) putBucket() *Error {
	acl := q.header("x-oss-acl")
	switch acl {
	case "", aclPrivate, aclPublicRead, aclPublicReadWrite:
	default:
		return invalidArgument("", "x-oss-acl", acl, "no such bucket access control exists")
	}
	if q.info != nil {
		return q.repeatPutBucket(acl)
	}
	doc, err := q.bucketConfiguration()
	if err != nil {
		return err
	}
	if len(q.server.store.Buckets()) >= maxBuckets {
		return newError(http.StatusBadRequest, "TooManyBuckets", "", "You have attempted to create more buckets than allowed.")
	}
	b := store.Bucket{
		Name: q.bucket, Owner: q.server.opts.AccountID, Location: "oss-" + q.server.opts.Region, ACL: acl,
		StorageClass: doc.StorageClass, Redundancy: doc.DataRedundancyType, BlockPublicAccess: !q.server.opts.Rules.PublicByDefault,
	}
	if b.ACL == "" {
		b.ACL = aclPrivate
	}
	if b.BlockPublicAccess && b.ACL != aclPrivate {
		return accessDenied("", "Put public bucket acl is not allowed")
	}
	if group := q.header("x-oss-resource-group-id"); group != "" {
		b.Config = map[string][]byte{"resourceGroup": []byte(`<BucketResourceGroupConfiguration><ResourceGroupId>` + xmlText(group) + `</ResourceGroupId></BucketResourceGroupConfiguration>`)}
	}
	if err := q.server.store.CreateBucket(b); err != nil && !errors.Is(err, store.ErrBucketExists) {
		return fromStore(err, q.bucket, "")
	}
	return q.bucketCreated()
}

func (q *request) bucketCreated() *Error {
	q.w.Header().Set("Location", "/"+q.bucket)
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

func (q *request) repeatPutBucket(acl string) *Error {
	if q.info.Owner != q.server.opts.AccountID {
		return newError(http.StatusConflict, "BucketAlreadyExists", "0015-00000104",
			"The requested bucket name is not available. The bucket namespace is shared by all users of the system. "+
				"Please select a different name and try again.").with("BucketName", q.bucket)
	}
	if acl != "" {
		if err := q.refusePublicACL(acl, "bucket"); err != nil {
			return err
		}
		if err := q.server.store.UpdateBucket(q.bucket, func(b *store.Bucket) error { b.ACL = acl; return nil }); err != nil {
			return fromStore(err, q.bucket, "")
		}
	}
	return q.bucketCreated()
}

func (q *request) bucketConfiguration() (createBucketConfiguration, *Error) {
	doc := createBucketConfiguration{}
	body, err := q.readBody()
	if err != nil {
		return doc, err
	}
	if len(body) > 0 {
		if err := parseXML(body, &doc); err != nil {
			err.EC = "0015-00000231"
			return doc, err
		}
	}
	if doc.StorageClass == "" {
		doc.StorageClass = "Standard"
	}
	if doc.DataRedundancyType == "" {
		doc.DataRedundancyType = "LRS"
	}
	if l := doc.LocationConstraint; l != "" && l != "oss-"+q.server.opts.Region {
		return doc, newError(http.StatusBadRequest, "InvalidLocationConstraint", "", "The specified location-constraint is not valid").
			with("LocationConstraint", l)
	}
	known := false
	for _, class := range storageClasses {
		known = known || class == doc.StorageClass
	}
	if !known || doc.DataRedundancyType != "LRS" && doc.DataRedundancyType != "ZRS" {
		return doc, malformedXML("", "the storage class or redundancy type is unknown.")
	}
	return doc, nil
}

func (q *request) deleteBucket() *Error {
	if err := q.server.store.DeleteBucket(q.bucket); err != nil {
		return fromStore(err, q.bucket, "")
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q *request) headBucket() *Error {
	q.w.Header().Set("x-oss-bucket-region", q.server.opts.Region)
	q.w.WriteHeader(http.StatusOK)
	return nil
}

type sseRuleXML struct {
	SSEAlgorithm      string
	KMSMasterKeyID    string `xml:",omitempty"`
	KMSDataEncryption string `xml:",omitempty"`
}

type bucketInfoXML struct {
	AccessControlList        grant
	AccessMonitor            string
	BlockPublicAccess        bool
	Comment                  string
	CreationDate             string
	CrossRegionReplication   string
	DataRedundancyType       string
	ExtranetEndpoint         string
	IntranetEndpoint         string
	Location                 string
	Name                     string
	Owner                    owner
	ResourceGroupId          string
	ServerSideEncryptionRule sseRuleXML
	StorageClass             string
	TransferAcceleration     string
	Versioning               string `xml:",omitempty"`
	BucketPolicy             struct{ LogBucket, LogPrefix string }
}

func (q *request) getBucketInfo() *Error {
	b := q.info
	ext, in := q.server.endpoints()
	info := bucketInfoXML{
		AccessControlList: grant{b.ACL}, AccessMonitor: "Disabled", BlockPublicAccess: b.BlockPublicAccess,
		CreationDate: xmlTime(b.Created), CrossRegionReplication: "Disabled", DataRedundancyType: b.Redundancy,
		ExtranetEndpoint: ext, IntranetEndpoint: in, Location: b.Location, Name: b.Name, Owner: q.server.owner(),
		ResourceGroupId: resourceGroup(b), StorageClass: b.StorageClass, TransferAcceleration: "Disabled", Versioning: b.Versioning,
	}
	if strings.Contains(string(b.Config["accessmonitor"]), "Enabled") {
		info.AccessMonitor = "Enabled"
	}
	if strings.Contains(string(b.Config["transferAcceleration"]), "true") {
		info.TransferAcceleration = "Enabled"
	}
	var rule encryptionConfig
	if doc := b.Config["encryption"]; doc != nil && xml.Unmarshal(doc, &rule) == nil {
		info.ServerSideEncryptionRule = sseRuleXML{rule.Default.Algorithm, rule.Default.KeyID, rule.Default.DataEncryption}
	}
	var logging struct {
		Bucket string `xml:"LoggingEnabled>TargetBucket"`
		Prefix string `xml:"LoggingEnabled>TargetPrefix"`
	}
	if doc := b.Config["logging"]; doc != nil && xml.Unmarshal(doc, &logging) == nil {
		info.BucketPolicy.LogBucket, info.BucketPolicy.LogPrefix = logging.Bucket, logging.Prefix
	}
	type document struct {
		XMLName xml.Name `xml:"BucketInfo"`
		Bucket  bucketInfoXML
	}
	q.writeXML(http.StatusOK, document{Bucket: info})
	return nil
}

func (q *request) getBucketLocation() *Error {
	type document struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Value   string   `xml:",chardata"`
	}
	q.writeXML(http.StatusOK, document{Value: q.info.Location})
	return nil
}

type bucketStatXML struct {
	XMLName                     xml.Name `xml:"BucketStat"`
	Storage                     int64
	ObjectCount                 int64
	MultipartUploadCount        int64
	LiveChannelCount            int64
	LastModifiedTime            int64
	StandardStorage             int64
	StandardObjectCount         int64
	InfrequentAccessStorage     int64
	InfrequentAccessRealStorage int64
	InfrequentAccessObjectCount int64
	ArchiveStorage              int64
	ArchiveRealStorage          int64
	ArchiveObjectCount          int64
	ColdArchiveStorage          int64
	ColdArchiveRealStorage      int64
	ColdArchiveObjectCount      int64
	DeepColdArchiveStorage      int64
	DeepColdArchiveRealStorage  int64
	DeepColdArchiveObjectCount  int64
	DeleteMarkerCount           int64
}

func (q *request) getBucketStat() *Error {
	st, err := q.server.store.Stat(q.bucket)
	if err != nil {
		return fromStore(err, q.bucket, "")
	}
	std, ia, ar, cold, deep := st.Classes["Standard"], st.Classes["IA"], st.Classes["Archive"], st.Classes["ColdArchive"], st.Classes["DeepColdArchive"]
	q.writeXML(http.StatusOK, bucketStatXML{
		Storage: st.Bytes, ObjectCount: st.Objects, MultipartUploadCount: st.Uploads, LastModifiedTime: unix(st.Modified),
		StandardStorage: std.Bytes, StandardObjectCount: std.Objects,
		InfrequentAccessStorage: ia.Bytes, InfrequentAccessRealStorage: ia.Bytes, InfrequentAccessObjectCount: ia.Objects,
		ArchiveStorage: ar.Bytes, ArchiveRealStorage: ar.Bytes, ArchiveObjectCount: ar.Objects,
		ColdArchiveStorage: cold.Bytes, ColdArchiveRealStorage: cold.Bytes, ColdArchiveObjectCount: cold.Objects,
		DeepColdArchiveStorage: deep.Bytes, DeepColdArchiveRealStorage: deep.Bytes, DeepColdArchiveObjectCount: deep.Objects,
		DeleteMarkerCount: st.DeleteMarkers,
	})
	return nil
}
