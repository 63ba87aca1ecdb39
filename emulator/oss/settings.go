package oss

import (
	"fmt"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Settings of one bucket that exist only in the emulator are kept among its configuration documents, under names
// that no sub-resource has.
const (
	settingV1    = "emulator:v1"    // "refuse" or "allow"
	settingCNAME = "emulator:cname" // a host name
)

// SetBucketV1 decides for one bucket whether signature version 1 is accepted in form uploads and Authorization
// headers, whatever Rules.RefuseV1 says.
func (s *Server) SetBucketV1(bucket string, allow bool) error {
	value := "refuse"
	if allow {
		value = "allow"
	}
	return s.setting(bucket, settingV1, value)
}

// SetBucketCNAME makes a host name of one's own lead to a bucket, as PutCname does after its checks.
func (s *Server) SetBucketCNAME(bucket, host string) error {
	return s.setting(bucket, settingCNAME, host)
}

func (s *Server) setting(bucket, name, value string) error {
	return s.store.UpdateBucket(bucket, func(b *store.Bucket) error {
		b.Config[name] = []byte(value)
		return nil
	})
}

func (s *Server) v1Refused(b *store.Bucket) bool {
	if b != nil {
		switch string(b.Config[settingV1]) {
		case "refuse":
			return true
		case "allow":
			return false
		}
	}
	return s.opts.Rules.RefuseV1
}

func (s *Server) cnameBucket(host string) string {
	for _, b := range s.store.Buckets() {
		if c := b.Config[settingCNAME]; c != nil && string(c) == host {
			return b.Name
		}
	}
	return ""
}

// CreateBucket makes a bucket as PutBucket does, without a request. store.ErrBucketExists when there is one.
func (s *Server) CreateBucket(name string) error {
	if !validBucketName(name) {
		return fmt.Errorf("%q is not a bucket name: 3 to 63 lower-case letters, digits and hyphens", name)
	}
	return s.store.CreateBucket(store.Bucket{
		Name: name, Owner: s.opts.AccountID, Location: "oss-" + s.opts.Region, ACL: aclPrivate, StorageClass: "Standard",
		Redundancy: "LRS", BlockPublicAccess: !s.opts.Rules.PublicByDefault,
	})
}

// CallbackKeyPEM is the public key that verifies callbacks.
func (s *Server) CallbackKeyPEM() []byte { return s.opts.CallbackKey.PEM() }
