package cloudtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Conform checks that services behave as package cloud promises. It runs against the Fake and against the
// real SDKs with an emulator, so that neither can tell a story of its own. The account must be empty.
func Conform(t *testing.T, s cloud.Services, accountID string) {
	t.Run("identity", func(t *testing.T) {
		caller, err := s.Identity.Caller(t.Context())
		if err != nil || caller.AccountID != accountID {
			t.Errorf("caller = %+v, err = %v, want account %s", caller, err, accountID)
		}
	})
	t.Run("buckets", func(t *testing.T) { conformBuckets(t, s, accountID) })
	t.Run("roles and policies", func(t *testing.T) { conformRAM(t, s) })
}

func conformBuckets(t *testing.T, s cloud.Services, accountID string) {
	const name = "conform-bucket"
	ctx := t.Context()
	if _, found, err := s.Buckets.Observe(ctx, name); found || err != nil {
		t.Fatalf("a bucket that is not there: found %t, err %v", found, err)
	}
	for range 2 { // creating one's own bucket again is no error
		ok(t, "create", s.Buckets.Create(ctx, name, "Standard"))
	}
	got, found, err := s.Buckets.Observe(ctx, name)
	if err != nil || !found || got.OwnerID != accountID || got.Region != Region || got.ACL != "private" || got.StorageClass != "Standard" {
		t.Errorf("bucket = %+v, found %t, err %v", got, found, err)
	}
	tags, err := s.Buckets.Tags(ctx, name)
	if err != nil || len(tags) != 0 {
		t.Errorf("tags of a new bucket = %v, err %v", tags, err)
	}
	want := map[string]string{policy.BucketOwnerTag: "cluster", "team": "photo"}
	ok(t, "set tags", s.Buckets.SetTags(ctx, name, want))
	tags, err = s.Buckets.Tags(ctx, name)
	ok(t, "tags", err)
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}

	rules, err := s.CORS.Rules(ctx, name)
	if err != nil || len(rules) != 0 {
		t.Errorf("rules of a new bucket = %v, err %v", rules, err)
	}
	merged, err := policy.MergeCORS([]policy.CORSRule{{AllowedOrigins: []string{"https://a.example.com"}, AllowedMethods: []string{"GET"}, MaxAgeSeconds: 1}},
		[]policy.CORSRequest{{AllowedOrigins: []string{"https://*.example.com"}, MaxAgeSeconds: 600}})
	ok(t, "merge", err)
	ok(t, "set rules", s.CORS.SetRules(ctx, name, merged))
	rules, err = s.CORS.Rules(ctx, name)
	ok(t, "rules", err)
	if !policy.SameCORS(merged, rules) {
		t.Errorf("rules = %+v, want %+v", rules, merged)
	}
	for range 2 { // removing rules that are gone is no error
		ok(t, "remove rules", s.CORS.SetRules(ctx, name, nil))
	}
	if rules, err = s.CORS.Rules(ctx, name); err != nil || len(rules) != 0 {
		t.Errorf("removed rules = %v, err %v", rules, err)
	}
	conformSettings(t, s, name)
	conformLifecycle(t, s, name)
	for range 2 { // deleting what is gone is no error
		ok(t, "delete", s.Buckets.Delete(ctx, name))
	}
	if _, found, err := s.Buckets.Observe(ctx, name); found || err != nil {
		t.Errorf("a deleted bucket: found %t, err %v", found, err)
	}
}

func conformSettings(t *testing.T, s cloud.Services, name string) {
	ctx := t.Context()
	ok(t, "block public access", s.Settings.SetPublicAccessBlock(ctx, name, true))
	if err := s.Settings.SetACL(ctx, name, "public-read"); cloud.ClassOf(err) != cloud.Denied {
		t.Errorf("a public ACL in spite of the block: %v", err)
	}
	ok(t, "unblock public access", s.Settings.SetPublicAccessBlock(ctx, name, false))
	ok(t, "set ACL", s.Settings.SetACL(ctx, name, "public-read"))
	encryption := cloud.Encryption{Algorithm: "AES256"}
	ok(t, "set encryption", s.Settings.SetEncryption(ctx, name, encryption))
	got, _, err := s.Buckets.Observe(ctx, name)
	if err != nil || got.ACL != "public-read" || got.PublicAccessBlocked || got.Encryption != encryption {
		t.Errorf("bucket = %+v, err %v", got, err)
	}
	if referer, err := s.Settings.Referer(ctx, name); err != nil || len(referer.Allowed) > 0 || !referer.AllowEmpty {
		t.Errorf("referer of a new bucket = %+v, err %v", referer, err)
	}
	want := cloud.Referer{Allowed: []string{"https://servicewechat.com/wx1/*"}}
	ok(t, "set referer", s.Settings.SetReferer(ctx, name, want))
	referer, err := s.Settings.Referer(ctx, name)
	ok(t, "referer", err)
	if diff := cmp.Diff(want, referer); diff != "" {
		t.Errorf("referer (-want +got):\n%s", diff)
	}
}

func conformLifecycle(t *testing.T, s cloud.Services, name string) {
	ctx := t.Context()
	owner := policy.Owner{Cluster: "c", Namespace: "family", Name: "album"}
	if rules, err := s.Lifecycle.Rules(ctx, name); err != nil || len(rules) != 0 {
		t.Errorf("lifecycle of a new bucket = %v, err %v", rules, err)
	}
	foreign := policy.LifecycleRule{ID: "by-hand", Prefix: "logs/", Enabled: true, ExpireDays: 30}
	ok(t, "set lifecycle", s.Lifecycle.SetRules(ctx, name, []policy.LifecycleRule{foreign}))
	existing, err := s.Lifecycle.Rules(ctx, name)
	ok(t, "lifecycle", err)
	own := policy.LifecycleRules(owner, policy.Lifecycle{Prefix: "album/", AbortMultipartDays: 7, TemporaryPrefix: "tmp/", TemporaryDays: 1})
	merged, err := policy.MergeLifecycle(existing, owner, own)
	ok(t, "merge lifecycle", err)
	ok(t, "set merged lifecycle", s.Lifecycle.SetRules(ctx, name, merged))
	got, err := s.Lifecycle.Rules(ctx, name)
	ok(t, "merged lifecycle", err)
	if !policy.SameLifecycle(append(own, foreign), got) {
		t.Errorf("lifecycle = %+v, want %+v and %+v", got, foreign, own)
	}
	for range 2 { // removing rules that are gone is no error
		ok(t, "remove lifecycle", s.Lifecycle.SetRules(ctx, name, nil))
	}
}

func conformRAM(t *testing.T, s cloud.Services) {
	const name = "ut-conform"
	ctx := t.Context()
	trust := policy.TrustDocument("acs:ram::1:oidc-provider/p", "https://issuer", "family", "album-signer").JSON()
	access := func(prefix string) string {
		document, err := policy.AccessDocument(policy.Access{Bucket: "b-b", Prefix: prefix, Read: true})
		ok(t, "document", err)
		return document.JSON()
	}

	if _, found, err := s.Roles.Observe(ctx, name); found || err != nil {
		t.Fatalf("a role that is not there: found %t, err %v", found, err)
	}
	if _, found, err := s.Policies.Observe(ctx, name); found || err != nil {
		t.Fatalf("a policy that is not there: found %t, err %v", found, err)
	}
	if attached, err := s.Attachments.List(ctx, name); err != nil || len(attached) != 0 {
		t.Errorf("attachments of a role that is not there = %v, err %v", attached, err)
	}

	role := cloud.Role{Name: name, TrustDocument: trust, Description: "mark", MaxSessionDuration: time.Hour}
	ok(t, "create role", s.Roles.Create(ctx, role))
	if err := s.Roles.Create(ctx, role); cloud.ClassOf(err) != cloud.Retryable {
		t.Errorf("create the role again: %v", err)
	}
	role.MaxSessionDuration = 2 * time.Hour
	ok(t, "update role", s.Roles.Update(ctx, role))
	gotRole, found, err := s.Roles.Observe(ctx, name)
	if err != nil || !found || !policy.Equivalent(gotRole.TrustDocument, trust) || gotRole.Description != "mark" || gotRole.MaxSessionDuration != 2*time.Hour {
		t.Errorf("role = %+v, found %t, err %v", gotRole, found, err)
	}

	ok(t, "create policy", s.Policies.Create(ctx, cloud.Policy{Name: name, Document: access("p0/"), Description: "mark"}))
	for _, prefix := range []string{"p1/", "p2/", "p3/", "p4/", "p5/", "p6/"} { // RAM keeps five versions
		ok(t, "set document", s.Policies.SetDocument(ctx, name, access(prefix)))
	}
	gotPolicy, found, err := s.Policies.Observe(ctx, name)
	if err != nil || !found || !policy.Equivalent(gotPolicy.Document, access("p6/")) || gotPolicy.Description != "mark" {
		t.Errorf("policy = %+v, found %t, err %v", gotPolicy, found, err)
	}

	for range 2 { // attaching again is no error
		ok(t, "attach", s.Attachments.Attach(ctx, name, name))
	}
	own := cloud.AttachedPolicy{Name: name}
	attached, err := s.Attachments.List(ctx, name)
	ok(t, "list attachments", err)
	if diff := cmp.Diff([]cloud.AttachedPolicy{own}, attached); diff != "" {
		t.Errorf("attachments (-want +got):\n%s", diff)
	}
	if err := s.Roles.Delete(ctx, name); cloud.ClassOf(err) != cloud.Retryable {
		t.Errorf("delete a role with a policy: %v", err)
	}
	conformInventory(t, s, name)
	for range 2 { // undoing what is undone is no error
		ok(t, "detach", s.Attachments.Detach(ctx, own, name))
		ok(t, "delete role", s.Roles.Delete(ctx, name))
		ok(t, "delete policy", s.Policies.Delete(ctx, name))
	}
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// conformInventory lists more than one page of either kind. The account has the role and policy name already.
func conformInventory(t *testing.T, s cloud.Services, name string) {
	ctx := t.Context()
	const more = 205 // one page of the real adapter holds 200
	want := map[string]string{name: "mark"}
	for i := range more {
		extra := fmt.Sprintf("%s-%03d", name, i)
		want[extra] = "extra"
		ok(t, "create role", s.Roles.Create(ctx, cloud.Role{Name: extra, TrustDocument: policy.BrokeredTrustDocument("acs:ram::1:root").JSON(), Description: "extra", MaxSessionDuration: time.Hour}))
		ok(t, "create policy", s.Policies.Create(ctx, cloud.Policy{Name: extra, Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject","Resource":"*"}]}`, Description: "extra"}))
	}
	for kind, list := range map[string]func(context.Context, string) ([]cloud.Described, string, error){
		"roles": s.Inventory.Roles, "policies": s.Inventory.Policies,
	} {
		got, pages := map[string]string{}, 0
		for after := ""; ; {
			page, next, err := list(ctx, after)
			ok(t, "list "+kind, err)
			for _, d := range page {
				got[d.Name] = d.Description
			}
			if pages++; next == "" {
				break
			}
			after = next
		}
		if diff := cmp.Diff(want, got); diff != "" || pages < 2 {
			t.Errorf("%s on %d pages (-want +got):\n%s", kind, pages, diff)
		}
	}
	for i := range more {
		extra := fmt.Sprintf("%s-%03d", name, i)
		ok(t, "delete role", s.Roles.Delete(ctx, extra))
		ok(t, "delete policy", s.Policies.Delete(ctx, extra))
	}
}
