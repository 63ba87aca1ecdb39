// Package cloudtest holds an account in memory, for tests that care about the controller and not about
// wire protocols. It keeps the rules of RAM and OSS that a controller can run into: what exists cannot be
// created again, and what is attached cannot be deleted.
package cloudtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Region of every bucket that a Fake creates.
const Region = "cn-hangzhou"

// Call is one call that reached the cloud.
type Call struct {
	// Operation is named as the permission for it, such as "ram:CreateRole".
	Operation, Resource string
}

// Write tells whether the call changes something.
func (c Call) Write() bool {
	_, verb, _ := strings.Cut(c.Operation, ":")
	return !strings.HasPrefix(verb, "Get") && !strings.HasPrefix(verb, "List") && !strings.HasPrefix(verb, "Assume")
}

// Fake is an account in memory. Set its fields before use; Before and After may be changed under Lock.
type Fake struct {
	// Before is asked before a call has its effect; an error is returned instead of the effect.
	Before func(Call) error
	// After is asked after the effect; an error is returned although the effect took place.
	After func(Call) error
	// SessionLife is how long sessions last; zero means as long as was asked for.
	SessionLife time.Duration

	mu       sync.Mutex
	calls    []Call
	account  string
	sessions int
	buckets  map[string]*bucket
	roles    map[string]cloud.Role
	policies map[string]cloud.Policy
	attached map[string][]cloud.AttachedPolicy
}

type bucket struct {
	cloud.Bucket
	tags      map[string]string
	cors      []policy.CORSRule
	lifecycle []policy.LifecycleRule
	referer   cloud.Referer
	objects   int
}

// New returns an empty account of that id.
func New(accountID string) *Fake {
	return &Fake{
		account: accountID,
		buckets: map[string]*bucket{}, roles: map[string]cloud.Role{},
		policies: map[string]cloud.Policy{}, attached: map[string][]cloud.AttachedPolicy{},
	}
}

// Open returns the account's services, whatever the credentials.
func (f *Fake) Open(cloud.Account) (cloud.Services, error) {
	return cloud.Services{
		Identity:    identity{f},
		Buckets:     buckets{f},
		Settings:    settings{f},
		CORS:        cors{f},
		Lifecycle:   lifecycle{f},
		Roles:       roles{f},
		Policies:    policies{f},
		Attachments: attachments{f},
		Inventory:   inventory{f},
	}, nil
}

// do runs effect as one call.
func (f *Fake) do(ctx context.Context, op, resource string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	call := Call{op, resource}
	f.calls = append(f.calls, call)
	if f.Before != nil {
		if err := f.Before(call); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(call)
	}
	return nil
}

// Hook replaces Before and After while calls may be running.
func (f *Fake) Hook(before, after func(Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Before, f.After = before, after
}

// Calls returns the calls since the last Reset.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Writes returns the calls since the last Reset that change something.
func (f *Fake) Writes() []Call {
	return slices.DeleteFunc(f.Calls(), func(c Call) bool { return !c.Write() })
}

// Reset forgets the calls.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// SetAccount makes the credentials belong to another account.
func (f *Fake) SetAccount(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account = id
}

// AddBucket puts a bucket into the cloud without a call.
func (f *Fake) AddBucket(b cloud.Bucket, tags map[string]string, rules ...policy.CORSRule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets[b.Name] = &bucket{Bucket: b, tags: maps.Clone(tags), cors: rules, referer: cloud.Referer{AllowEmpty: true}}
}

// AddObject puts an object into a bucket without a call.
func (f *Fake) AddObject(bucket string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets[bucket].objects++
}

// AddRole puts a role into the cloud without a call.
func (f *Fake) AddRole(r cloud.Role) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles[r.Name] = r
}

// RemoveRole takes a role out of the cloud without a call, as a person at the console would.
func (f *Fake) RemoveRole(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.roles, name)
	delete(f.attached, name)
}

// AttachPolicy binds a policy to a role without a call, as a person at the console would.
func (f *Fake) AttachPolicy(p cloud.AttachedPolicy, role string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[role] = append(f.attached[role], p)
}

// State is everything in the account, for comparison.
type State struct {
	// Buckets by name, with their tags.
	Buckets map[string]map[string]string
	// Settings of buckets by name.
	Settings map[string]cloud.Bucket
	Referer  map[string]cloud.Referer
	// CORS and lifecycle rules by bucket; buckets without rules are left out.
	CORS      map[string][]policy.CORSRule
	Lifecycle map[string][]policy.LifecycleRule

	Roles    map[string]cloud.Role
	Policies map[string]cloud.Policy
	// Attached policies by role, as "policy <name>" or "system policy <name>".
	Attached map[string][]string
}

// State returns a copy of everything in the account.
func (f *Fake) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{
		Buckets: map[string]map[string]string{}, Settings: map[string]cloud.Bucket{}, Referer: map[string]cloud.Referer{},
		CORS: map[string][]policy.CORSRule{}, Lifecycle: map[string][]policy.LifecycleRule{},
		Roles: maps.Clone(f.roles), Policies: maps.Clone(f.policies), Attached: map[string][]string{},
	}
	for name, b := range f.buckets {
		s.Buckets[name] = maps.Clone(b.tags)
		s.Settings[name], s.Referer[name] = b.Bucket, b.referer
		if len(b.lifecycle) > 0 {
			s.Lifecycle[name] = slices.Clone(b.lifecycle)
		}
		if len(b.cors) > 0 {
			s.CORS[name] = slices.Clone(b.cors)
		}
	}
	for role, attached := range f.attached {
		for _, p := range attached {
			s.Attached[role] = append(s.Attached[role], p.String())
		}
	}
	return s
}

func refuse(class cloud.Class, op, resource, code string) error {
	return &cloud.Error{Class: class, Operation: op, Resource: resource, Code: code}
}

type identity struct{ *Fake }

func (f identity) Caller(ctx context.Context) (caller cloud.Caller, err error) {
	err = f.do(ctx, "sts:GetCallerIdentity", "", func() error {
		caller = cloud.Caller{AccountID: f.account, ARN: "acs:ram::" + f.account + ":user/manager"}
		return nil
	})
	return caller, err
}

func (f identity) AssumeRole(ctx context.Context, roleARN, _ string, duration time.Duration) (session cloud.Session, err error) {
	err = f.do(ctx, "sts:AssumeRole", roleARN, func() error {
		_, name, _ := strings.Cut(roleARN, ":role/")
		if _, ok := f.roles[name]; !ok {
			return refuse(cloud.Retryable, "sts:AssumeRole", roleARN, "EntityNotExist.Role")
		}
		f.sessions++
		if f.SessionLife > 0 {
			duration = f.SessionLife
		}
		session = cloud.Session{
			StaticCredentials: cloud.StaticCredentials{AccessKeyID: fmt.Sprint("STS.", f.sessions), AccessKeySecret: "secret", SecurityToken: "token"},
			Expires:           time.Now().Add(duration),
		}
		return nil
	})
	return session, err
}

type buckets struct{ *Fake }

func (f buckets) Observe(ctx context.Context, name string) (out cloud.Bucket, found bool, err error) {
	err = f.do(ctx, "oss:GetBucketInfo", name, func() error {
		if b := f.buckets[name]; b != nil {
			out, found = b.Bucket, true
		}
		return nil
	})
	return out, found && err == nil, err
}

func (f buckets) Create(ctx context.Context, name, storageClass string) error {
	return f.do(ctx, "oss:PutBucket", name, func() error {
		if b := f.buckets[name]; b != nil {
			if b.OwnerID != f.account {
				return refuse(cloud.Conflict, "oss:PutBucket", name, "BucketAlreadyExists")
			}
			return nil
		}
		if storageClass == "" {
			storageClass = "Standard"
		}
		f.buckets[name] = &bucket{
			Bucket: cloud.Bucket{
				Name: name, OwnerID: f.account, Region: Region, Created: time.Unix(0, 0),
				ACL: "private", StorageClass: storageClass, PublicAccessBlocked: true,
			},
			referer: cloud.Referer{AllowEmpty: true},
		}
		return nil
	})
}

func (f buckets) Tags(ctx context.Context, name string) (tags map[string]string, err error) {
	err = f.do(ctx, "oss:GetBucketTagging", name, func() error {
		b := f.buckets[name]
		if b == nil {
			return refuse(cloud.Retryable, "oss:GetBucketTagging", name, "NoSuchBucket")
		}
		tags = maps.Clone(b.tags)
		return nil
	})
	return tags, err
}

func (f buckets) SetTags(ctx context.Context, name string, tags map[string]string) error {
	return f.do(ctx, "oss:PutBucketTagging", name, func() error {
		b := f.buckets[name]
		if b == nil {
			return refuse(cloud.Retryable, "oss:PutBucketTagging", name, "NoSuchBucket")
		}
		b.tags = maps.Clone(tags)
		return nil
	})
}

type cors struct{ *Fake }

func (f cors) Rules(ctx context.Context, name string) (rules []policy.CORSRule, err error) {
	err = f.do(ctx, "oss:GetBucketCors", name, func() error {
		b := f.buckets[name]
		if b == nil {
			return refuse(cloud.Retryable, "oss:GetBucketCors", name, "NoSuchBucket")
		}
		rules = slices.Clone(b.cors)
		return nil
	})
	return rules, err
}

func (f cors) SetRules(ctx context.Context, name string, rules []policy.CORSRule) error {
	return f.do(ctx, "oss:PutBucketCors", name, func() error {
		b := f.buckets[name]
		if b == nil {
			return refuse(cloud.Retryable, "oss:PutBucketCors", name, "NoSuchBucket")
		}
		b.cors = slices.Clone(rules)
		return nil
	})
}
