package aliyun

import (
	"context"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

type settingsAPI struct{ *ossAPI }

// SetACL sets the ACL of a bucket.
func (a *settingsAPI) SetACL(ctx context.Context, bucket, acl string) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	_, err := a.client.PutBucketAcl(ctx, &oss.PutBucketAclRequest{Bucket: &bucket, Acl: oss.BucketACLType(acl)})
	return classifyOSS("oss:PutBucketAcl", bucket, err)
}

// SetPublicAccessBlock refuses, or accepts again, public ACLs and policies.
func (a *settingsAPI) SetPublicAccessBlock(ctx context.Context, bucket string, blocked bool) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	_, err := a.client.PutBucketPublicAccessBlock(ctx, &oss.PutBucketPublicAccessBlockRequest{
		Bucket:                         &bucket,
		PublicAccessBlockConfiguration: &oss.PublicAccessBlockConfiguration{BlockPublicAccess: &blocked},
	})
	return classifyOSS("oss:PutBucketPublicAccessBlock", bucket, err)
}

// encryption reads the default encryption from a bucket's description, which says None when there is none.
func encryption(rule oss.SSERule) cloud.Encryption {
	switch algorithm := oss.ToString(rule.SSEAlgorithm); algorithm {
	case "", "None":
		return cloud.Encryption{}
	default:
		return cloud.Encryption{Algorithm: algorithm, KMSKeyID: oss.ToString(rule.KMSMasterKeyID)}
	}
}

// SetEncryption sets the default encryption.
func (a *settingsAPI) SetEncryption(ctx context.Context, bucket string, e cloud.Encryption) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	byDefault := &oss.ApplyServerSideEncryptionByDefault{SSEAlgorithm: &e.Algorithm}
	if e.KMSKeyID != "" {
		byDefault.KMSMasterKeyID = &e.KMSKeyID
	}
	_, err := a.client.PutBucketEncryption(ctx, &oss.PutBucketEncryptionRequest{
		Bucket:                   &bucket,
		ServerSideEncryptionRule: &oss.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: byDefault},
	})
	return classifyOSS("oss:PutBucketEncryption", bucket, err)
}

// Referer reads the hotlink protection.
func (a *settingsAPI) Referer(ctx context.Context, bucket string) (cloud.Referer, error) {
	ctx, cancel := a.context(ctx)
	defer cancel()
	result, err := a.client.GetBucketReferer(ctx, &oss.GetBucketRefererRequest{Bucket: &bucket})
	if err != nil {
		return cloud.Referer{}, classifyOSS("oss:GetBucketReferer", bucket, err)
	}
	referer := cloud.Referer{AllowEmpty: true}
	if c := result.RefererConfiguration; c != nil {
		referer.AllowEmpty = c.AllowEmptyReferer == nil || *c.AllowEmptyReferer
		if c.RefererList != nil {
			referer.Allowed = c.RefererList.Referers
		}
	}
	return referer, nil
}

// SetReferer replaces the hotlink protection.
func (a *settingsAPI) SetReferer(ctx context.Context, bucket string, r cloud.Referer) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	_, err := a.client.PutBucketReferer(ctx, &oss.PutBucketRefererRequest{
		Bucket: &bucket,
		RefererConfiguration: &oss.RefererConfiguration{
			AllowEmptyReferer: &r.AllowEmpty,
			RefererList:       &oss.RefererList{Referers: r.Allowed},
		},
	})
	return classifyOSS("oss:PutBucketReferer", bucket, err)
}

type lifecycleAPI struct{ *ossAPI }

// Rules reads the lifecycle document.
func (a *lifecycleAPI) Rules(ctx context.Context, bucket string) ([]policy.LifecycleRule, error) {
	ctx, cancel := a.context(ctx)
	defer cancel()
	result, err := a.client.GetBucketLifecycle(ctx, &oss.GetBucketLifecycleRequest{Bucket: &bucket})
	if err != nil {
		return nil, ignoreCode(classifyOSS("oss:GetBucketLifecycle", bucket, err), "NoSuchLifecycle", "NoSuchLifecycleConfiguration")
	}
	if result.LifecycleConfiguration == nil {
		return nil, nil
	}
	rules := make([]policy.LifecycleRule, 0, len(result.LifecycleConfiguration.Rules))
	for _, r := range result.LifecycleConfiguration.Rules {
		rule := policy.LifecycleRule{
			ID: oss.ToString(r.ID), Prefix: oss.ToString(r.Prefix),
			Enabled: oss.ToString(r.Status) == "Enabled", Original: r,
		}
		if r.AbortMultipartUpload != nil && r.AbortMultipartUpload.Days != nil {
			rule.AbortMultipartDays = int(*r.AbortMultipartUpload.Days)
		}
		if r.Expiration != nil && r.Expiration.Days != nil {
			rule.ExpireDays = int(*r.Expiration.Days)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// SetRules replaces the lifecycle document; OSS takes no empty one, so none means delete. Rules that came
// from Rules go back exactly as OSS gave them, with fields that only OSS knows.
func (a *lifecycleAPI) SetRules(ctx context.Context, bucket string, rules []policy.LifecycleRule) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	if len(rules) == 0 {
		_, err := a.client.DeleteBucketLifecycle(ctx, &oss.DeleteBucketLifecycleRequest{Bucket: &bucket})
		return ignoreCode(classifyOSS("oss:DeleteBucketLifecycle", bucket, err), "NoSuchLifecycle", "NoSuchLifecycleConfiguration")
	}
	document := &oss.LifecycleConfiguration{}
	for _, r := range rules {
		if original, ok := r.Original.(oss.LifecycleRule); ok {
			document.Rules = append(document.Rules, original)
			continue
		}
		document.Rules = append(document.Rules, lifecycleRule(r))
	}
	_, err := a.client.PutBucketLifecycle(ctx, &oss.PutBucketLifecycleRequest{
		Bucket: &bucket, LifecycleConfiguration: document,
		// A rule of somebody else may cover the whole bucket; ours then says the same for a part of it.
		AllowSameActionOverlap: oss.Ptr("true"),
	})
	return classifyOSS("oss:PutBucketLifecycle", bucket, err)
}

func lifecycleRule(r policy.LifecycleRule) oss.LifecycleRule {
	status := "Disabled"
	if r.Enabled {
		status = "Enabled"
	}
	rule := oss.LifecycleRule{ID: &r.ID, Prefix: &r.Prefix, Status: &status}
	if r.AbortMultipartDays > 0 {
		rule.AbortMultipartUpload = &oss.LifecycleRuleAbortMultipartUpload{Days: oss.Ptr(int32(r.AbortMultipartDays))}
	}
	if r.ExpireDays > 0 {
		rule.Expiration = &oss.LifecycleRuleExpiration{Days: oss.Ptr(int32(r.ExpireDays))}
	}
	return rule
}
