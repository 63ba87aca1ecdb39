package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLimitsCheck(t *testing.T) {
	photos := Limits{MinSize: 1, MaxSize: 100, ContentTypes: []string{"image/jpeg", "image/png"}, Extensions: []string{"jpg", "jpeg", "png"}}
	anyImage := Limits{MinSize: 0, MaxSize: 100, ContentTypes: []string{"image/*", "application/octet-stream"}}
	tests := map[string]struct {
		limits   Limits
		file     File
		want     Accepted
		wantCode string
	}{
		"photo":                      {photos, File{"a.jpg", 5, "image/jpeg"}, Accepted{"jpg", "image/jpeg"}, ""},
		"upper case and parameters":  {photos, File{"A.JPG", 5, " Image/JPEG; q=1"}, Accepted{"jpg", "image/jpeg"}, ""},
		"no name, as chooseMedia":    {photos, File{"", 5, "image/png"}, Accepted{"png", "image/png"}, ""},
		"no type":                    {photos, File{"a.png", 5, ""}, Accepted{"png", "image/png"}, ""},
		"largest":                    {photos, File{"a.png", 100, "image/png"}, Accepted{"png", "image/png"}, ""},
		"too large":                  {photos, File{"a.png", 101, "image/png"}, Accepted{}, CodeTooLarge},
		"too small":                  {photos, File{"a.png", 0, "image/png"}, Accepted{}, CodeTooSmall},
		"negative":                   {anyImage, File{"a.png", -1, "image/png"}, Accepted{}, CodeTooSmall},
		"other type":                 {photos, File{"a.jpg", 5, "image/gif"}, Accepted{}, CodeTypeNotAllowed},
		"other extension":            {photos, File{"a.exe", 5, "image/jpeg"}, Accepted{}, CodeExtensionNotAllowed},
		"double extension":           {photos, File{"a.jpg.exe", 5, "image/jpeg"}, Accepted{}, CodeExtensionNotAllowed},
		"type against extension":     {photos, File{"a.jpg", 5, "image/png"}, Accepted{}, CodeTypeMismatch},
		"no type and no extension":   {photos, File{"a", 5, ""}, Accepted{}, CodeInvalidType},
		"not a type":                 {photos, File{"a.jpg", 5, "image"}, Accepted{}, CodeInvalidType},
		"type with a newline":        {photos, File{"a.jpg", 5, "image/jpeg\r\nx: y"}, Accepted{}, CodeInvalidType},
		"path":                       {photos, File{"../a.jpg", 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"windows path":               {photos, File{`c:\a.jpg`, 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"control character":          {photos, File{"a\x00.jpg", 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"reversed text":              {photos, File{"a\u202egpj.exe", 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"invalid UTF-8":              {photos, File{"a\xff.jpg", 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"long name":                  {photos, File{strings.Repeat("a", 252) + ".jpg", 5, "image/jpeg"}, Accepted{}, CodeInvalidName},
		"chinese name":               {photos, File{"照片.jpg", 5, "image/jpeg"}, Accepted{"jpg", "image/jpeg"}, ""},
		"wildcard":                   {anyImage, File{"a.webp", 5, "image/webp"}, Accepted{"webp", "image/webp"}, ""},
		"wildcard and unknown kinds": {anyImage, File{"a.zzz", 5, "image/zzz"}, Accepted{"zzz", "image/zzz"}, ""},
		"wildcard is not for pages":  {anyImage, File{"a.svg", 5, "image/svg+xml"}, Accepted{}, CodeTypeNotAllowed},
		"bytes of any extension":     {anyImage, File{"a.jpg", 5, "application/octet-stream"}, Accepted{"jpg", "application/octet-stream"}, ""},
		"extension nobody knows":     {anyImage, File{"noext", 5, "image/zzz"}, Accepted{"bin", "image/zzz"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, violation := test.limits.Check(test.file)
			code := ""
			if violation != nil {
				code = violation.Code
			}
			if diff := cmp.Diff(test.want, got); diff != "" || code != test.wantCode {
				t.Errorf("code %q, want %q; accepted (-want +got):\n%s", code, test.wantCode, diff)
			}
		})
	}
}

func FuzzLimitsCheck(f *testing.F) {
	f.Add("a.jpg", int64(5), "image/jpeg")
	f.Add("../\x00", int64(-1), "image/*")
	l := Limits{MaxSize: 100, ContentTypes: []string{"image/*", "text/plain"}, Extensions: []string{"jpg", "txt", "png"}}
	f.Fuzz(func(t *testing.T, name string, size int64, contentType string) {
		got, violation := l.Check(File{name, size, contentType})
		if violation != nil {
			return
		}
		if size < 0 || size > 100 || strings.ContainsAny(name, "/\\\x00\r\n") || CheckKey("p/"+got.Ext) != nil || strings.ContainsAny(got.ContentType, " ;\r\n\"") {
			t.Errorf("accepted %q %d %q as %+v", name, size, contentType, got)
		}
	})
}
