package aliyun

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// ossAPI calls OSS for buckets; it never touches an object.
type ossAPI struct {
	client  *oss.Client
	timeout time.Duration
}

func newOSS(opts Options, account cloud.Account, creds credentialSource) (*ossAPI, error) {
	endpoint := endpointOr(account.Endpoints.OSS, "https://oss-"+account.Region+".aliyuncs.com")
	if _, _, err := parseEndpoint(endpoint); err != nil {
		return nil, err
	}
	config := oss.LoadDefaultConfig().
		WithRegion(account.Region).
		WithEndpoint(endpoint).
		// A stand-in for OSS, such as the emulator behind a Service, has no host name per bucket. The signer
		// and the upload URLs of clients follow the same rule.
		WithUsePathStyle(!aliyunHost(endpoint)).
		WithSignatureVersion(oss.SignatureVersionV4).
		// The work queue retries with a backoff that is shared by all calls of a tenant; a retry here
		// would only hold a worker.
		WithRetryMaxAttempts(1).
		WithHttpClient(&http.Client{Transport: opts.Transport, Timeout: opts.CallTimeout}).
		WithCredentialsProvider(credentials.CredentialsProviderFunc(func(ctx context.Context) (credentials.Credentials, error) {
			cred, err := creds.credential(ctx)
			if err != nil {
				return credentials.Credentials{}, err
			}
			return credentials.Credentials{AccessKeyID: cred.id, AccessKeySecret: cred.secret, SecurityToken: cred.token}, nil
		}))
	return &ossAPI{client: oss.NewClient(config), timeout: opts.CallTimeout}, nil
}

// aliyunHost tells whether an endpoint is one of the real service, which takes the bucket in the host name only.
func aliyunHost(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix(u.Hostname(), ".aliyuncs.com")
}

func (a *ossAPI) context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.timeout)
}

type bucketAPI struct{ *ossAPI }

// Observe reads what OSS tells about a bucket.
func (a *bucketAPI) Observe(ctx context.Context, name string) (cloud.Bucket, bool, error) {
	ctx, cancel := a.context(ctx)
	defer cancel()
	result, err := a.client.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: &name})
	if err != nil {
		return cloud.Bucket{}, false, ignoreNotFound(classifyOSS("oss:GetBucketInfo", name, err))
	}
	info := result.BucketInfo
	bucket := cloud.Bucket{
		Name:    name,
		Region:  strings.TrimPrefix(oss.ToString(info.Location), "oss-"),
		Created: oss.ToTime(info.CreationDate),

		ACL:                 oss.ToString(info.ACL),
		StorageClass:        oss.ToString(info.StorageClass),
		PublicAccessBlocked: oss.ToBool(info.BlockPublicAccess),
		Encryption:          encryption(info.SseRule),
	}
	if info.Owner != nil {
		bucket.OwnerID = oss.ToString(info.Owner.ID)
	}
	return bucket, true, nil
}

// Create makes a private bucket.
func (a *bucketAPI) Create(ctx context.Context, name, storageClass string) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	request := &oss.PutBucketRequest{Bucket: &name, Acl: oss.BucketACLPrivate}
	if storageClass != "" {
		request.CreateBucketConfiguration = &oss.CreateBucketConfiguration{StorageClass: oss.StorageClassType(storageClass)}
	}
	_, err := a.client.PutBucket(ctx, request)
	return classifyOSS("oss:PutBucket", name, err)
}

// Delete removes a bucket without objects. A missing bucket is no error.
func (a *bucketAPI) Delete(ctx context.Context, name string) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	_, err := a.client.DeleteBucket(ctx, &oss.DeleteBucketRequest{Bucket: &name})
	return ignoreNotFound(classifyOSS("oss:DeleteBucket", name, err))
}

// Tags reads the tags of a bucket.
func (a *bucketAPI) Tags(ctx context.Context, name string) (map[string]string, error) {
	ctx, cancel := a.context(ctx)
	defer cancel()
	result, err := a.client.GetBucketTags(ctx, &oss.GetBucketTagsRequest{Bucket: &name})
	if err != nil {
		return nil, ignoreCode(classifyOSS("oss:GetBucketTagging", name, err), "NoSuchTagSet", "NoSuchTagging")
	}
	tags := map[string]string{}
	if result.Tagging != nil && result.Tagging.TagSet != nil {
		for _, tag := range result.Tagging.TagSet.Tags {
			tags[oss.ToString(tag.Key)] = oss.ToString(tag.Value)
		}
	}
	return tags, nil
}

// SetTags replaces the tags of a bucket.
func (a *bucketAPI) SetTags(ctx context.Context, name string, tags map[string]string) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	set := make([]oss.Tag, 0, len(tags))
	for key, value := range tags {
		set = append(set, oss.Tag{Key: oss.Ptr(key), Value: oss.Ptr(value)})
	}
	_, err := a.client.PutBucketTags(ctx, &oss.PutBucketTagsRequest{
		Bucket: &name, Tagging: &oss.Tagging{TagSet: &oss.TagSet{Tags: set}},
	})
	return classifyOSS("oss:PutBucketTagging", name, err)
}

type corsAPI struct{ *ossAPI }

// Rules reads the CORS document of a bucket.
func (a *corsAPI) Rules(ctx context.Context, bucket string) ([]policy.CORSRule, error) {
	ctx, cancel := a.context(ctx)
	defer cancel()
	result, err := a.client.GetBucketCors(ctx, &oss.GetBucketCorsRequest{Bucket: &bucket})
	if err != nil {
		return nil, ignoreCode(classifyOSS("oss:GetBucketCors", bucket, err), "NoSuchCORSConfiguration")
	}
	if result.CORSConfiguration == nil {
		return nil, nil
	}
	rules := make([]policy.CORSRule, 0, len(result.CORSConfiguration.CORSRules))
	for _, r := range result.CORSConfiguration.CORSRules {
		rules = append(rules, policy.CORSRule{
			AllowedOrigins: r.AllowedOrigins,
			AllowedMethods: r.AllowedMethods,
			AllowedHeaders: r.AllowedHeaders,
			ExposeHeaders:  r.ExposeHeaders,
			MaxAgeSeconds:  int(oss.ToInt64(r.MaxAgeSeconds)),
		})
	}
	return rules, nil
}

// SetRules replaces the CORS document of a bucket; OSS takes no empty one, so none means delete. The
// answer varies by origin, because several origins share one cache.
func (a *corsAPI) SetRules(ctx context.Context, bucket string, rules []policy.CORSRule) error {
	ctx, cancel := a.context(ctx)
	defer cancel()
	if len(rules) == 0 {
		_, err := a.client.DeleteBucketCors(ctx, &oss.DeleteBucketCorsRequest{Bucket: &bucket})
		return ignoreCode(classifyOSS("oss:DeleteBucketCors", bucket, err), "NoSuchCORSConfiguration")
	}
	document := oss.CORSConfiguration{ResponseVary: oss.Ptr(true)}
	for _, r := range rules {
		document.CORSRules = append(document.CORSRules, oss.CORSRule{
			AllowedOrigins: r.AllowedOrigins,
			AllowedMethods: r.AllowedMethods,
			AllowedHeaders: r.AllowedHeaders,
			ExposeHeaders:  r.ExposeHeaders,
			MaxAgeSeconds:  oss.Ptr(int64(r.MaxAgeSeconds)),
		})
	}
	_, err := a.client.PutBucketCors(ctx, &oss.PutBucketCorsRequest{Bucket: &bucket, CORSConfiguration: &document})
	return classifyOSS("oss:PutBucketCors", bucket, err)
}
