// Package instrument decorates cloud services: it paces calls, measures and traces them, and records what
// they change. Every decorator is an Interceptor; Intercept puts it around each call.
package instrument

import (
	"context"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Service is one service of the cloud, which has a limit of its own.
type Service string

// The services.
const (
	OSS Service = "oss"
	RAM Service = "ram"
	STS Service = "sts"
)

// Call describes one call.
type Call struct {
	Service Service
	// Operation is named as the permission for it, such as "ram:CreateRole".
	Operation, Resource string
	// Write tells whether the call changes something.
	Write bool
}

// Interceptor does something around a call. next makes the call.
type Interceptor func(ctx context.Context, call Call, next func(context.Context) error) error

// Intercept returns services whose every call goes through the interceptor.
func Intercept(s cloud.Services, i Interceptor) cloud.Services {
	return cloud.Services{
		Identity:    identity{s.Identity, i},
		Buckets:     buckets{s.Buckets, i},
		Settings:    settings{s.Settings, i},
		CORS:        cors{s.CORS, i},
		Lifecycle:   lifecycle{s.Lifecycle, i},
		Roles:       roles{s.Roles, i},
		Policies:    policies{s.Policies, i},
		Attachments: attachments{s.Attachments, i},
		Inventory:   inventory{s.Inventory, i},
	}
}

func (i Interceptor) read(ctx context.Context, service Service, op, resource string, next func(context.Context) error) error {
	return i(ctx, Call{service, op, resource, false}, next)
}

func (i Interceptor) write(ctx context.Context, service Service, op, resource string, next func(context.Context) error) error {
	return i(ctx, Call{service, op, resource, true}, next)
}

type identity struct {
	next cloud.Identity
	i    Interceptor
}

func (d identity) Caller(ctx context.Context) (caller cloud.Caller, err error) {
	err = d.i.read(ctx, STS, "sts:GetCallerIdentity", "", func(ctx context.Context) (err error) {
		caller, err = d.next.Caller(ctx)
		return err
	})
	return caller, err
}

func (d identity) AssumeRole(ctx context.Context, roleARN, sessionName string, duration time.Duration) (session cloud.Session, err error) {
	err = d.i.read(ctx, STS, "sts:AssumeRole", roleARN, func(ctx context.Context) (err error) {
		session, err = d.next.AssumeRole(ctx, roleARN, sessionName, duration)
		return err
	})
	return session, err
}

type buckets struct {
	next cloud.Buckets
	i    Interceptor
}

func (d buckets) Observe(ctx context.Context, name string) (b cloud.Bucket, found bool, err error) {
	err = d.i.read(ctx, OSS, "oss:GetBucketInfo", name, func(ctx context.Context) (err error) {
		b, found, err = d.next.Observe(ctx, name)
		return err
	})
	return b, found, err
}

func (d buckets) Create(ctx context.Context, name, storageClass string) error {
	return d.i.write(ctx, OSS, "oss:PutBucket", name, func(ctx context.Context) error { return d.next.Create(ctx, name, storageClass) })
}

func (d buckets) Tags(ctx context.Context, name string) (tags map[string]string, err error) {
	err = d.i.read(ctx, OSS, "oss:GetBucketTagging", name, func(ctx context.Context) (err error) {
		tags, err = d.next.Tags(ctx, name)
		return err
	})
	return tags, err
}

func (d buckets) SetTags(ctx context.Context, name string, tags map[string]string) error {
	return d.i.write(ctx, OSS, "oss:PutBucketTagging", name, func(ctx context.Context) error { return d.next.SetTags(ctx, name, tags) })
}

func (d buckets) Delete(ctx context.Context, name string) error {
	return d.i.write(ctx, OSS, "oss:DeleteBucket", name, func(ctx context.Context) error { return d.next.Delete(ctx, name) })
}

type settings struct {
	next cloud.BucketSettings
	i    Interceptor
}

func (d settings) SetACL(ctx context.Context, bucket, acl string) error {
	return d.i.write(ctx, OSS, "oss:PutBucketAcl", bucket, func(ctx context.Context) error { return d.next.SetACL(ctx, bucket, acl) })
}

func (d settings) SetPublicAccessBlock(ctx context.Context, bucket string, blocked bool) error {
	return d.i.write(ctx, OSS, "oss:PutBucketPublicAccessBlock", bucket, func(ctx context.Context) error {
		return d.next.SetPublicAccessBlock(ctx, bucket, blocked)
	})
}

func (d settings) SetEncryption(ctx context.Context, bucket string, e cloud.Encryption) error {
	return d.i.write(ctx, OSS, "oss:PutBucketEncryption", bucket, func(ctx context.Context) error { return d.next.SetEncryption(ctx, bucket, e) })
}

func (d settings) Referer(ctx context.Context, bucket string) (r cloud.Referer, err error) {
	err = d.i.read(ctx, OSS, "oss:GetBucketReferer", bucket, func(ctx context.Context) (err error) {
		r, err = d.next.Referer(ctx, bucket)
		return err
	})
	return r, err
}

func (d settings) SetReferer(ctx context.Context, bucket string, r cloud.Referer) error {
	return d.i.write(ctx, OSS, "oss:PutBucketReferer", bucket, func(ctx context.Context) error { return d.next.SetReferer(ctx, bucket, r) })
}

type cors struct {
	next cloud.CORS
	i    Interceptor
}

func (d cors) Rules(ctx context.Context, bucket string) (rules []policy.CORSRule, err error) {
	err = d.i.read(ctx, OSS, "oss:GetBucketCors", bucket, func(ctx context.Context) (err error) {
		rules, err = d.next.Rules(ctx, bucket)
		return err
	})
	return rules, err
}

func (d cors) SetRules(ctx context.Context, bucket string, rules []policy.CORSRule) error {
	return d.i.write(ctx, OSS, "oss:PutBucketCors", bucket, func(ctx context.Context) error { return d.next.SetRules(ctx, bucket, rules) })
}

type lifecycle struct {
	next cloud.Lifecycle
	i    Interceptor
}

func (d lifecycle) Rules(ctx context.Context, bucket string) (rules []policy.LifecycleRule, err error) {
	err = d.i.read(ctx, OSS, "oss:GetBucketLifecycle", bucket, func(ctx context.Context) (err error) {
		rules, err = d.next.Rules(ctx, bucket)
		return err
	})
	return rules, err
}

func (d lifecycle) SetRules(ctx context.Context, bucket string, rules []policy.LifecycleRule) error {
	return d.i.write(ctx, OSS, "oss:PutBucketLifecycle", bucket, func(ctx context.Context) error { return d.next.SetRules(ctx, bucket, rules) })
}
