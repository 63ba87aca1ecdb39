package sniff

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

func encoded(t testing.TB, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, image.NewPaletted(image.Rect(0, 0, 2, 2), nil)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAgrees(t *testing.T) {
	jpg := encoded(t, func(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, image.NewGray(m.Bounds()), nil) })
	pic := encoded(t, func(b *bytes.Buffer, m image.Image) error { return png.Encode(b, image.NewGray(m.Bounds())) })
	gif := encoded(t, func(b *bytes.Buffer, m image.Image) error { return gif.Encode(b, image.NewGray(m.Bounds()), nil) })
	heic, mp4, mov := []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), []byte("\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"), []byte("\x00\x00\x00\x08wide\x00\x00\x10\x00mdat")
	page, svg, plain := []byte("<!DOCTYPE html><script>alert(1)</script>"), []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), []byte("hello 你好\n")
	program, windows, zip, unknown := []byte("\x7fELF\x02\x01\x01"), []byte("MZ\x90\x00\x03"), []byte("PK\x03\x04\x14\x00"), []byte{1, 2, 3, 4, 0, 9}
	tests := map[string]struct {
		contentType string
		data        []byte
		want        bool
	}{
		"jpeg": {"image/jpeg", jpg, true}, "jpeg as png": {"image/png", jpg, false}, "png": {"image/png", pic, true}, "gif": {"image/gif", gif, true},
		"heic": {"image/heic", heic, true}, "heic as jpeg": {"image/jpeg", heic, false}, "mp4": {"video/mp4", mp4, true}, "mov": {"video/quicktime", mov, true},
		"mp4 as image": {"image/x-unknown", mp4, false}, "image as video": {"video/x-unknown", jpg, false},
		"page as jpeg": {"image/jpeg", page, false}, "page as text": {"text/plain", page, false}, "page as octets": {"application/octet-stream", page, true},
		"page": {"text/html", page, true}, "svg": {"image/svg+xml", svg, true}, "page as an unknown image": {"image/x-unknown", page, false},
		"text": {"text/plain", plain, true}, "text as json": {"application/json", plain, true}, "text as video": {"video/x-unknown", plain, false},
		"program as image": {"image/x-unknown", program, false}, "program as video": {"video/mp4", windows, false}, "program as text": {"text/plain", windows, false},
		"program": {"application/x-executable", program, true}, "document": {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", zip, true},
		"zip as text": {"text/csv", zip, false}, "unknown image": {"image/x-unknown", unknown, true}, "octets as text": {"text/plain", unknown, false},
		"nothing as jpeg": {"image/jpeg", nil, false}, "nothing as text": {"text/plain", nil, true}, "short webp": {"image/webp", []byte("RIFF"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Agrees(test.contentType, test.data); got != test.want {
				t.Errorf("Agrees(%s) = %v, want %v", test.contentType, got, test.want)
			}
		})
	}
}

// A page is accepted as nothing that browsers show without being asked, whatever follows.
func FuzzAgrees(f *testing.F) {
	f.Add("image/jpeg", []byte("<script>"))
	f.Add("video/x-unknown", []byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		Agrees(contentType, data)
		for _, shown := range []string{"image/jpeg", "image/x-unknown", "video/mp4", "text/plain"} {
			if Agrees(shown, append([]byte("<html>"), data...)) {
				t.Errorf("a page passes as %s", shown)
			}
		}
	})
}
