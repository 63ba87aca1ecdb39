package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxRoleName is RAM's limit for a role name; a policy may be longer, but shares the name.
const maxRoleName = 64

// Owner identifies, across clusters and across the loss of a cluster's state, the tenant that a cloud
// object belongs to. It deliberately holds no UID: a namespaced name exists once in a cluster, so the
// same YAML applied again to a restored cluster finds its own objects.
type Owner struct {
	// Cluster is the id that the manager was started with.
	Cluster string
	// Namespace and Name are those of the UploadTenant.
	Namespace, Name string
}

// ResourceName is the name of the tenant's RAM role and policy: ut-<namespace>-<name>-<hash8>, at most
// 64 characters of [A-Za-z0-9-]. The hash covers the cluster too, so that two clusters may share one
// account, and keeps names apart that are cut or that differ only in where the hyphen stands.
func (o Owner) ResourceName() string {
	sum := sha256.Sum256([]byte(o.Cluster + "\x00" + o.Namespace + "\x00" + o.Name))
	hash := hex.EncodeToString(sum[:])[:8]
	readable := strings.ReplaceAll("ut-"+o.Namespace+"-"+o.Name, ".", "-")
	if limit := maxRoleName - 1 - len(hash); len(readable) > limit {
		readable = strings.TrimRight(readable[:limit], "-")
	}
	return readable + "-" + hash
}

// Marker is the text that the tenant's role and policy carry as their description. It claims them.
func (o Owner) Marker() string {
	return fmt.Sprintf("uploadtenant cluster=%s tenant=%s/%s", o.Cluster, o.Namespace, o.Name)
}

// Owns tells whether a description is this owner's marker.
func (o Owner) Owns(description string) bool { return description == o.Marker() }

// ParseMarker reads the marker of a role or policy; ok is false when the description is none.
func ParseMarker(description string) (owner Owner, ok bool) {
	rest, found := strings.CutPrefix(description, "uploadtenant cluster=")
	if !found {
		return Owner{}, false
	}
	cluster, tenant, found := strings.Cut(rest, " tenant=")
	if !found {
		return Owner{}, false
	}
	namespace, name, found := strings.Cut(tenant, "/")
	if !found || namespace == "" || name == "" {
		return Owner{}, false
	}
	return Owner{Cluster: cluster, Namespace: namespace, Name: name}, true
}

// BucketOwnerTag is the key of the bucket tag that names the cluster which manages a bucket. A bucket is
// shared by tenants of one cluster only, because its CORS and lifecycle documents have a single writer.
const BucketOwnerTag = "uploadtenant-cluster"

// RoleARN is the ARN of a role in an account.
func RoleARN(accountID, role string) string {
	return "acs:ram::" + accountID + ":role/" + role
}

// PrefixesOverlap tells whether one of two key prefixes lies within the other. The empty prefix is the
// whole bucket.
func PrefixesOverlap(a, b string) bool {
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}
