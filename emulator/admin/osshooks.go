package admin

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
	"github.com/uploadtenant/uploadtenant/emulator/requestlog"
	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// OSSHooks disturb and record the calls of OSS, and its callbacks.
func (a *Admin) OSSHooks() oss.Hooks {
	return oss.Hooks{
		Before: a.beforeOSS,
		After: func(c *oss.Call, r *http.Request) {
			a.Log.Add(requestlog.Entry{
				Time: c.Start.UTC(), Service: "oss", Operation: operationName(c.Operation), Caller: callerName(c.Caller),
				Method: r.Method, Path: r.URL.Path, Bucket: c.Bucket, Key: c.Key, Status: c.Status, Code: c.Code, EC: c.EC,
				RequestID: c.RequestID, DurationMs: a.since(c.Start), BytesIn: c.Received, BytesOut: c.Sent,
			})
		},
		Callback: func(*oss.Call, string) oss.CallbackFault {
			return oss.CallbackFault(a.Faults.PlanCallback())
		},
		CallbackDone: func(c *oss.Call, report oss.CallbackReport) {
			e := requestlog.Entry{
				Time: a.clock().UTC(), Service: "callback", Operation: "Callback", Caller: "oss", Method: http.MethodPost,
				Bucket: c.Bucket, Key: c.Key, Status: report.Status, RequestID: c.RequestID, URL: report.URL, Problem: report.Problem,
				Fault: faultName(report.Fault),
			}
			if u, err := url.Parse(report.URL); err == nil {
				e.Path = u.Path
			}
			if report.Problem != "" {
				e.Code = "CallbackFailed"
			}
			a.Log.Add(e)
		},
		ListDelay: func() time.Duration {
			c, _ := a.Faults.Config()
			return time.Duration(c.ListDelayMs) * time.Millisecond
		},
	}
}

func faultName(f oss.CallbackFault) string {
	switch {
	case f.Drop:
		return "callbackDrop"
	case f.Duplicate:
		return "callbackDuplicate"
	case f.Delay > 0:
		return "callbackDelayMs"
	}
	return ""
}

func (a *Admin) beforeOSS(c *oss.Call, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, bool) {
	p := a.Faults.Plan(c.Operation)
	faults.Wait(r.Context(), p.Delay)
	if p.Code != "" {
		c.Code = p.Code
		refuseOSS(c, w, r, p)
		return w, r, false
	}
	w, r = p.Drop(w, r)
	return w, r, true
}

// refuseOSS answers an injected error as OSS writes its own.
func refuseOSS(c *oss.Call, w http.ResponseWriter, r *http.Request, p faults.Plan) {
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestId string
		HostId    string
	}{Code: p.Code, Message: messageOf(p.Code), RequestId: c.RequestID, HostId: r.Host})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body = append([]byte(xml.Header), body...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// StoreStorage shows a store on the page.
type StoreStorage struct{ Store *store.Store }

// Buckets implements Storage.
func (s StoreStorage) Buckets() []Bucket {
	out := []Bucket{}
	for _, b := range s.Store.Buckets() {
		v := Bucket{Name: b.Name, Created: b.Created, ACL: b.ACL, StorageClass: b.StorageClass, Versioning: b.Versioning,
			BlockPublicAccess: b.BlockPublicAccess, Configured: []string{}, Tags: map[string]string{}}
		for name := range b.Config {
			v.Configured = append(v.Configured, name)
		}
		sort.Strings(v.Configured)
		for _, t := range b.Tags {
			v.Tags[t.Key] = t.Value
		}
		if stat, err := s.Store.Stat(b.Name); err == nil {
			v.Objects, v.Bytes = stat.Objects, stat.Bytes
		}
		out = append(out, v)
	}
	return out
}

// Objects implements Storage.
func (s StoreStorage) Objects(bucket, prefix, after string, limit int) (Objects, error) {
	page, err := s.Store.ListObjects(bucket, store.List{Prefix: prefix, After: after, Max: limit})
	if err != nil {
		return Objects{}, err
	}
	out := Objects{Items: []Object{}}
	for _, o := range page.Objects {
		out.Items = append(out.Items, viewObject(o))
	}
	if page.Truncated {
		out.Next = page.Next
	}
	return out, nil
}

func viewObject(o *store.Object) Object {
	return Object{Key: o.Key, Size: o.Size, Modified: o.Modified, ETag: o.ETag, ContentType: o.Headers["Content-Type"], ACL: o.ACL, Meta: o.Meta}
}

// Open implements Storage.
func (s StoreStorage) Open(bucket, key string) (Object, io.ReadCloser, error) {
	o, reader, err := s.Store.OpenObject(bucket, key, "")
	if err != nil {
		return Object{}, nil, err
	}
	pr, pw := io.Pipe()
	go func() {
		defer reader.Close()
		_ = pw.CloseWithError(reader.CopyRange(pw, 0, o.Size))
	}()
	return viewObject(o), pr, nil
}
