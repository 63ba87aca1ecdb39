package oss

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func (q *request) getBucketACL() *Error {
	q.writeXML(http.StatusOK, accessControlPolicy{Owner: q.server.owner(), AccessControlList: grant{q.info.ACL}})
	return nil
}

func (q *request) putBucketACL() *Error {
	acl := q.header("x-oss-acl")
	switch acl {
	case aclPrivate, aclPublicRead, aclPublicReadWrite:
	default:
		return invalidArgument("", "x-oss-acl", acl, "no such bucket access control exists")
	}
	if err := q.refusePublicACL(acl, "bucket"); err != nil {
		return err
	}
	return q.updateBucket(func(b *store.Bucket) { b.ACL = acl }, http.StatusOK)
}

type versioningXML struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

func (q *request) getBucketVersioning() *Error {
	q.writeXML(http.StatusOK, versioningXML{Status: q.info.Versioning})
	return nil
}

func (q *request) putBucketVersioning() *Error {
	var doc versioningXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	if doc.Status != store.VersioningEnabled && doc.Status != store.VersioningSuspended {
		return malformedXML("", "the versioning status must be Enabled or Suspended.")
	}
	return q.updateBucket(func(b *store.Bucket) { b.Versioning = doc.Status }, http.StatusOK)
}

// maxBucketTags is the number of tags of a bucket.
const maxBucketTags = 20

func (q *request) getBucketTags() *Error {
	if len(q.info.Tags) == 0 {
		return notConfigured("NoSuchTagSet", "", "The TagSet does not exist.").with("BucketName", q.bucket)
	}
	q.writeXML(http.StatusOK, newTaggingXML(q.info.Tags))
	return nil
}

func (q *request) putBucketTags() *Error {
	var doc taggingXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	tags := doc.tags()
	if err := checkTags(tags, maxBucketTags); err != nil {
		return err
	}
	return q.updateBucket(func(b *store.Bucket) { b.Tags = tags }, http.StatusOK)
}

// deleteBucketTags removes all tags, or those named by ?tagging=k1,k2.
func (q *request) deleteBucketTags() *Error {
	names := q.param("tagging")
	return q.updateBucket(func(b *store.Bucket) {
		if names == "" {
			b.Tags = nil
			return
		}
		b.Tags = slices.DeleteFunc(b.Tags, func(t store.Tag) bool { return slices.Contains(strings.Split(names, ","), t.Key) })
	}, http.StatusNoContent)
}

type publicAccessBlockXML struct {
	XMLName           xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicAccess *bool
}

func (q *request) getPublicAccessBlock() *Error {
	q.writeXML(http.StatusOK, publicAccessBlockXML{BlockPublicAccess: &q.info.BlockPublicAccess})
	return nil
}

func (q *request) putPublicAccessBlock() *Error {
	var doc publicAccessBlockXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	if doc.BlockPublicAccess == nil {
		return malformedXML("", "BlockPublicAccess is missing.")
	}
	return q.updateBucket(func(b *store.Bucket) { b.BlockPublicAccess = *doc.BlockPublicAccess }, http.StatusOK)
}

func (q *request) deletePublicAccessBlock() *Error {
	return q.updateBucket(func(b *store.Bucket) { b.BlockPublicAccess = false }, http.StatusNoContent)
}

// settingAccessBlock is the account's own public-access block, which covers every bucket.
const settingAccessBlock = "publicAccessBlock"

// publicBlocked tells whether public grants count for nothing, by the bucket's setting or the account's.
func (q *request) publicBlocked() bool {
	return q.info.BlockPublicAccess || string(q.server.store.AccountSetting(settingAccessBlock)) == "true"
}

func (q *request) getAccountAccessBlock() *Error {
	on := string(q.server.store.AccountSetting(settingAccessBlock)) == "true"
	q.writeXML(http.StatusOK, publicAccessBlockXML{BlockPublicAccess: &on})
	return nil
}

func (q *request) putAccountAccessBlock() *Error {
	var doc publicAccessBlockXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	if doc.BlockPublicAccess == nil {
		return malformedXML("", "BlockPublicAccess is missing.")
	}
	return q.setAccount(strconv.FormatBool(*doc.BlockPublicAccess), http.StatusOK)
}

func (q *request) deleteAccountAccessBlock() *Error {
	return q.setAccount("false", http.StatusNoContent)
}

func (q *request) setAccount(value string, status int) *Error {
	if err := q.server.store.SetAccountSetting(settingAccessBlock, []byte(value)); err != nil {
		return fromStore(err, "", "")
	}
	if status != http.StatusNoContent {
		q.w.Header().Set("Content-Length", "0")
	}
	q.w.WriteHeader(status)
	return nil
}

type encryptionConfig struct {
	XMLName xml.Name `xml:"ServerSideEncryptionRule"`
	Default struct {
		Algorithm      string `xml:"SSEAlgorithm"`
		KeyID          string `xml:"KMSMasterKeyID"`
		DataEncryption string `xml:"KMSDataEncryption"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
}

func checkEncryption(_ *request, body []byte) *Error {
	var doc encryptionConfig
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if !slices.Contains([]string{"AES256", "KMS", "SM4"}, doc.Default.Algorithm) {
		return newError(http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "",
			"The Encryption request you specified is not valid. Supported value: AES256/KMS/SM4.")
	}
	return nil
}

// defaultResourceGroup is the resource group of buckets that were not put into one.
const defaultResourceGroup = "rg-acfmemulator0"

func checkResourceGroup(_ *request, body []byte) *Error {
	var doc struct {
		ID string `xml:"ResourceGroupId"`
	}
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if doc.ID != "" && doc.ID != defaultResourceGroup {
		return newError(http.StatusBadRequest, "ResourceGroupIdPreCheckError", "0039-00000003", "The resource group id precheck error")
	}
	return nil
}

func resourceGroup(b *store.Bucket) string {
	var doc struct {
		ID string `xml:"ResourceGroupId"`
	}
	if raw := b.Config["resourceGroup"]; raw != nil && xml.Unmarshal(raw, &doc) == nil && doc.ID != "" {
		return doc.ID
	}
	return defaultResourceGroup
}

func checkOverwriteConfig(_ *request, body []byte) *Error {
	var doc struct {
		Rule []struct{ ID, Action string }
	}
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	for _, r := range doc.Rule {
		if r.ID == "" || r.Action != "forbid" {
			return malformedXML("0015-00000231", "")
		}
	}
	return nil
}

// maxBucketPolicy is the size of a bucket policy document.
const maxBucketPolicy = 16 << 10

// policyDocument is as much of a bucket policy as is checked when it is put; iam evaluates it.
type policyDocument struct {
	Version   string
	Statement []map[string]any
}

func checkBucketPolicy(q *request, body []byte) *Error {
	if len(body) > maxBucketPolicy {
		return newError(http.StatusBadRequest, "InvalidPolicyDocument", "", "The policy document is too large.")
	}
	var doc policyDocument
	if err := json.Unmarshal(body, &doc); err != nil {
		return newError(http.StatusBadRequest, "InvalidPolicyDocument", "", "The policy is not in the valid JSON format.")
	}
	if doc.Version != "1" || len(doc.Statement) == 0 {
		return newError(http.StatusBadRequest, "InvalidPolicyDocument", "", "The policy must have Version 1 and at least one Statement.")
	}
	for _, s := range doc.Statement {
		if effect := s["Effect"]; effect != "Allow" && effect != "Deny" || s["Action"] == nil && s["NotAction"] == nil ||
			s["Resource"] == nil && s["NotResource"] == nil {
			return newError(http.StatusBadRequest, "InvalidPolicyDocument", "",
				"A statement of a bucket policy needs Effect, Action and Resource.")
		}
		if q.publicBlocked() && publicStatement(s) {
			return accessDenied("", "Put public bucket policy is not allowed")
		}
	}
	return nil
}

func (q *request) getBucketPolicyStatus() *Error {
	type status struct {
		XMLName  xml.Name `xml:"PolicyStatus"`
		IsPublic bool
	}
	var doc policyDocument
	raw := q.info.Config["policy"]
	public := raw != nil && json.Unmarshal(raw, &doc) == nil && slices.ContainsFunc(doc.Statement, publicStatement)
	q.writeXML(http.StatusOK, status{IsPublic: public})
	return nil
}

func xmlText(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer does not fail
	return b.String()
}
