// Package policy holds the pure rules of the product: what is allowed is turned into RAM documents, PostObject
// policies, CORS rules, object keys and names. It imports the standard library only and makes no call.
package policy

import "fmt"

// Access is what a signer may do with the objects of its tenant.
type Access struct {
	Bucket string
	// Prefix ends with a slash and holds no wildcard.
	Prefix string
	// Read allows reading and listing objects, which completing an upload without a callback,
	// the sweeper and presigned downloads need.
	Read bool
	// Delete allows deleting objects on behalf of their owner.
	Delete bool
	// Tag allows setting tags on objects, SetACL making them public, both after their verification.
	Tag, SetACL bool
	// ReadTags allows reading the tags of objects.
	ReadTags bool
	// RequireTLS denies nothing by itself: it makes every grant depend on acs:SecureTransport.
	RequireTLS bool
	// Additional statements of the tenant, already checked by CheckStatements.
	Additional []Statement
}

// AccessDocument is the RAM policy of a signer: exactly the actions it needs on exactly the keys below
// bucket/prefix, and listing restricted to that prefix. PostObject and every part of a multipart upload
// are authorised by oss:PutObject; there is no oss:PostObject action (help.aliyun.com/document_detail/31988.html).
func AccessDocument(a Access) (Document, error) {
	if err := checkScope(a.Bucket, a.Prefix); err != nil {
		return Document{}, err
	}
	objects := []string{"oss:AbortMultipartUpload", "oss:PutObject"}
	if a.Read {
		objects = append(objects, "oss:GetObject", "oss:ListParts")
	}
	if a.Delete {
		objects = append(objects, "oss:DeleteObject")
	}
	if a.Tag {
		objects = append(objects, "oss:PutObjectTagging")
	}
	if a.ReadTags {
		objects = append(objects, "oss:GetObjectTagging")
	}
	if a.SetACL {
		objects = append(objects, "oss:PutObjectAcl")
	}
	statements := []Statement{{
		Effect:   "Allow",
		Action:   objects,
		Resource: []string{objectARN(a.Bucket, a.Prefix)},
	}}
	if a.Read {
		// oss:Prefix is honoured for listing only, and listing is authorised on the bucket itself.
		statements = append(statements, Statement{
			Effect:    "Allow",
			Action:    []string{"oss:ListObjects"},
			Resource:  []string{bucketARN(a.Bucket)},
			Condition: map[string]map[string][]string{"StringLike": {"oss:Prefix": {a.Prefix + "*"}}},
		})
	}
	if a.RequireTLS {
		for i := range statements {
			if statements[i].Condition == nil {
				statements[i].Condition = map[string]map[string][]string{}
			}
			statements[i].Condition["Bool"] = map[string][]string{"acs:SecureTransport": {"true"}}
		}
	}
	if err := CheckStatements(a.Bucket, a.Prefix, a.Additional); err != nil {
		return Document{}, err
	}
	doc := Document{Version: "1", Statement: append(statements, a.Additional...)}
	if size := len(doc.JSON()); size > MaxDocument {
		return Document{}, fmt.Errorf("the RAM policy has %d characters and RAM takes at most %d: remove some of access.additionalStatements", size, MaxDocument)
	}
	return doc, nil
}

// TrustDocument lets exactly one service account of one cluster assume the role, through the OIDC
// provider that RAM knows for the cluster.
func TrustDocument(providerARN, issuer, namespace, serviceAccount string) Document {
	return Document{Version: "1", Statement: []Statement{{
		Effect:    "Allow",
		Principal: map[string][]string{"Federated": {providerARN}},
		Action:    []string{"sts:AssumeRole"},
		Condition: map[string]map[string][]string{"StringEquals": {
			"oidc:aud": {TokenAudience},
			"oidc:iss": {issuer},
			"oidc:sub": {"system:serviceaccount:" + namespace + ":" + serviceAccount},
		}},
	}}}
}

// BrokeredTrustDocument lets exactly one RAM user or role of the account assume the role: the manager, which
// hands the sessions to the signer.
func BrokeredTrustDocument(principalARN string) Document {
	return Document{Version: "1", Statement: []Statement{{
		Effect:    "Allow",
		Principal: map[string][]string{"RAM": {principalARN}},
		Action:    []string{"sts:AssumeRole"},
	}}}
}

// TokenAudience is the audience that RAM expects in a service-account token (RRSA).
const TokenAudience = "sts.aliyuncs.com"

func bucketARN(bucket string) string { return "acs:oss:*:*:" + bucket }

func objectARN(bucket, prefix string) string { return ObjectARN(bucket, prefix+"*") }

// ObjectARN is the resource name of the keys that a pattern names in a bucket.
func ObjectARN(bucket, pattern string) string { return bucketARN(bucket) + "/" + pattern }
