package oss

import (
	"encoding/xml"
	"net/http"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

type restoreRequest struct {
	XMLName       xml.Name `xml:"RestoreRequest"`
	Days          int
	JobParameters struct{ Tier string }
}

// restoreTimes are how long a restore takes at most, by storage class and tier
// (H/zh/oss/developer-reference/restoreobject). A test moves the clock.
var restoreTimes = map[string]map[string]time.Duration{
	"Archive":         {"": time.Minute},
	"ColdArchive":     {"": 5 * time.Hour, "Expedited": time.Hour, "Standard": 5 * time.Hour, "Bulk": 12 * time.Hour},
	"DeepColdArchive": {"": 48 * time.Hour, "Expedited": 12 * time.Hour, "Standard": 48 * time.Hour},
}

// archived tells whether the object must be restored before it can be read.
func archived(o *store.Object) bool { return restoreTimes[o.StorageClass] != nil }

// restoring tells whether a restore was asked for and is not finished.
func restoring(o *store.Object, now time.Time) bool { return now.Before(o.RestoreReady) }

// restored tells whether an archived object is readable now.
func restored(o *store.Object, now time.Time) bool {
	return !restoring(o, now) && now.Before(o.RestoreEnd)
}

// notRestored refuses to read what is archived.
func notRestored(o *store.Object, now time.Time) *Error {
	if !archived(o) || restored(o, now) {
		return nil
	}
	return newError(http.StatusForbidden, "InvalidObjectState", "", "The operation is not valid for the object's state").with("ObjectName", o.Key)
}

// restoreState is the value of x-oss-restore; empty when no restore was asked for or it has run out.
func restoreState(o *store.Object, now time.Time) string {
	switch {
	case restoring(o, now):
		return `ongoing-request="true"`
	case restored(o, now):
		return `ongoing-request="false", expiry-date="` + o.RestoreEnd.UTC().Format(http.TimeFormat) + `"`
	}
	return ""
}

func (q *request) restoreObject() *Error {
	doc := restoreRequest{Days: 1}
	body, err := q.readBody()
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := parseXML(body, &doc); err != nil {
			return err
		}
	}
	o, err := q.lookup()
	if err != nil {
		return err
	}
	if !archived(o) {
		return newError(http.StatusBadRequest, "OperationNotSupported", "0016-00000702", "The operation is not supported for this resource").
			with("Detail", "RestoreObject operation does not support this object storage class")
	}
	takes, ok := restoreTimes[o.StorageClass][doc.JobParameters.Tier]
	if !ok || doc.Days < 1 || doc.Days > 365 {
		return malformedXML("", "the tier or the number of days does not fit the storage class.")
	}
	if restoring(o, q.now) {
		// The SDK's tests demand some EC here; which one is not documented.
		return newError(http.StatusConflict, "RestoreAlreadyInProgress", "0016-00000701", "The restore operation is in progress.")
	}
	status, ready := http.StatusAccepted, q.now.Add(takes)
	if restored(o, q.now) {
		status, ready = http.StatusOK, q.now // only the end moves
	}
	return q.updateObject(func(o *store.Object) {
		o.RestoreReady, o.RestoreEnd = ready.UTC(), ready.Add(time.Duration(doc.Days)*24*time.Hour).UTC()
	}, status)
}

func (q *request) cleanRestoredObject() *Error {
	o, err := q.lookup()
	if err != nil {
		return err
	}
	if restoring(o, q.now) {
		return newError(http.StatusConflict, "ArchiveRestoreNotFinished", "0016-00000719", "The archive file's restore is not finished.")
	}
	return q.updateObject(func(o *store.Object) { o.RestoreReady, o.RestoreEnd = time.Time{}, time.Time{} }, http.StatusOK)
}
