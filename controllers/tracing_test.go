package controllers_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
)

// TestEveryReconcilePhaseAndCallIsASpan follows one tenant through the spans of the manager.
func TestEveryReconcilePhaseAndCallIsASpan(t *testing.T) {
	w := newWorld(t)
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "ram:CreateRole" {
			return &cloud.Error{Class: cloud.Denied, Operation: c.Operation, Code: "NoPermission", RequestID: "R-1"}
		}
		return nil
	}, nil)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	bucket, role := tenant.Spec.Bucket.Name, w.role(tenant)
	// child finds a span by name and resource, and the names of those around it.
	path := func(operation, resource string) (sdktrace.ReadOnlySpan, string) {
		all := map[string]sdktrace.ReadOnlySpan{}
		for _, s := range spans.Ended() {
			all[s.SpanContext().SpanID().String()] = s
		}
		for _, s := range all {
			if s.Name() != operation || attributesOf(s)["cloud.resource"] != resource {
				continue
			}
			names := []string{s.Name()}
			for parent, ok := all[s.Parent().SpanID().String()]; ok; parent, ok = all[parent.Parent().SpanID().String()] {
				names = append(names, parent.Name())
				if ns := attributesOf(parent)["k8s.namespace.name"]; ns != "" {
					names = append(names, ns+"/"+attributesOf(parent)["uploadtenant.name"])
				}
			}
			return s, strings.Join(names, " < ")
		}
		return nil, ""
	}
	around := " < reconcile UploadTenant < " + w.namespace + "/album"
	w.eventually(func() string {
		if _, got := path("oss:PutBucket", bucket); got != "oss:PutBucket < phase bucket"+around {
			return "path of PutBucket: " + got
		}
		if _, got := path("ram:CreateRole", role); got != "ram:CreateRole < phase role"+around {
			return "path of CreateRole: " + got
		}
		return ""
	})
	failed, _ := path("ram:CreateRole", role)
	if failed.Status().Code != codes.Error || failed.Status().Description != string(cloud.Denied) {
		t.Errorf("status of the failed call = %+v", failed.Status())
	}
	w.cloud.Hook(nil, nil)
	w.awaitReady(tenant)
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes() {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}
