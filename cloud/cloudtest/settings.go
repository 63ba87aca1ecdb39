package cloudtest

import (
	"context"
	"slices"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// change runs effect on a bucket that must exist.
func (f *Fake) change(ctx context.Context, op, name string, effect func(*bucket) error) error {
	return f.do(ctx, op, name, func() error {
		b := f.buckets[name]
		if b == nil {
			return refuse(cloud.Retryable, op, name, "NoSuchBucket")
		}
		return effect(b)
	})
}

func (f buckets) Delete(ctx context.Context, name string) error {
	return f.do(ctx, "oss:DeleteBucket", name, func() error {
		if b := f.buckets[name]; b != nil && b.objects > 0 {
			return refuse(cloud.Conflict, "oss:DeleteBucket", name, "BucketNotEmpty")
		}
		delete(f.buckets, name)
		return nil
	})
}

type settings struct{ *Fake }

func (f settings) SetACL(ctx context.Context, name, acl string) error {
	return f.change(ctx, "oss:PutBucketAcl", name, func(b *bucket) error {
		if acl != "private" && b.PublicAccessBlocked {
			return refuse(cloud.Denied, "oss:PutBucketAcl", name, "AccessDenied")
		}
		b.ACL = acl
		return nil
	})
}

func (f settings) SetPublicAccessBlock(ctx context.Context, name string, blocked bool) error {
	return f.change(ctx, "oss:PutBucketPublicAccessBlock", name, func(b *bucket) error {
		b.PublicAccessBlocked = blocked
		return nil
	})
}

func (f settings) SetEncryption(ctx context.Context, name string, e cloud.Encryption) error {
	return f.change(ctx, "oss:PutBucketEncryption", name, func(b *bucket) error {
		b.Encryption = e
		return nil
	})
}

func (f settings) Referer(ctx context.Context, name string) (r cloud.Referer, err error) {
	err = f.change(ctx, "oss:GetBucketReferer", name, func(b *bucket) error {
		r = b.referer
		return nil
	})
	return r, err
}

func (f settings) SetReferer(ctx context.Context, name string, r cloud.Referer) error {
	return f.change(ctx, "oss:PutBucketReferer", name, func(b *bucket) error {
		b.referer = r
		return nil
	})
}

type lifecycle struct{ *Fake }

func (f lifecycle) Rules(ctx context.Context, name string) (rules []policy.LifecycleRule, err error) {
	err = f.change(ctx, "oss:GetBucketLifecycle", name, func(b *bucket) error {
		rules = slices.Clone(b.lifecycle)
		return nil
	})
	return rules, err
}

func (f lifecycle) SetRules(ctx context.Context, name string, rules []policy.LifecycleRule) error {
	return f.change(ctx, "oss:PutBucketLifecycle", name, func(b *bucket) error {
		b.lifecycle = slices.Clone(rules)
		return nil
	})
}

// SetLifecycle makes the lifecycle rules of a bucket without a call.
func (f *Fake) SetLifecycle(bucket string, rules []policy.LifecycleRule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets[bucket].lifecycle = slices.Clone(rules)
}
