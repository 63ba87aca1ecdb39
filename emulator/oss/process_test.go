package oss_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
)

func TestImageProcessing(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	picture := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for n := range 40 * 20 {
		picture.Set(n%40, n/40, color.RGBA{R: 255, A: 255})
	}
	var source bytes.Buffer
	if err := png.Encode(&source, picture); err != nil {
		t.Fatal(err)
	}
	putObject(t, c, "a.png", source.String())
	putObject(t, c, "a.txt", "no picture")
	must[*sdk.PutStyleResult](t)(c.PutStyle(t.Context(), &sdk.PutStyleRequest{
		Bucket: sdk.Ptr(bucket), StyleName: sdk.Ptr("thumb"), Style: &sdk.StyleContent{Content: sdk.Ptr("image/resize,w_8,h_8,m_fill/format,jpg")},
	}))
	for process, want := range map[string]struct {
		format string
		size   image.Point
	}{
		"image/resize,w_20":              {"png", image.Pt(20, 10)},
		"image/resize,h_5":               {"png", image.Pt(10, 5)},
		"image/resize,l_10":              {"png", image.Pt(10, 5)},
		"image/resize,s_10":              {"png", image.Pt(20, 10)},
		"image/resize,p_50":              {"png", image.Pt(20, 10)},
		"image/resize,w_10,h_10":         {"png", image.Pt(10, 5)},
		"image/resize,w_10,h_10,m_mfit":  {"png", image.Pt(20, 10)},
		"image/resize,w_10,h_10,m_fill":  {"png", image.Pt(10, 10)},
		"image/resize,w_10,h_10,m_fixed": {"png", image.Pt(10, 10)},
		"image/resize,w_80":              {"png", image.Pt(40, 20)}, // never larger
		"image/resize,w_80,limit_0":      {"png", image.Pt(80, 40)},
		"image/format,jpg/quality,q_50":  {"jpeg", image.Pt(40, 20)},
		"style/thumb":                    {"jpeg", image.Pt(8, 8)},
	} {
		t.Run(process, func(t *testing.T) {
			a := processed(t, c, "a.png", process)
			got, format, err := image.Decode(strings.NewReader(a.Body))
			if err != nil {
				t.Fatalf("%d %s: %v", a.Status, a.Body, err)
			}
			if format != want.format || got.Bounds().Size() != want.size || a.Header.Get("Content-Type") != "image/"+want.format {
				t.Errorf("%s %v %s, want %+v", format, got.Bounds(), a.Header.Get("Content-Type"), want)
			}
			if r, g, _, _ := got.At(got.Bounds().Min.X+2, got.Bounds().Min.Y+2).RGBA(); r < 0xf000 || g > 0x1000 {
				t.Errorf("the picture is no longer red: %x %x", r, g)
			}
		})
	}
	want := `{"FileSize":{"value":"` + sdkSize(source) + `"},"Format":{"value":"png"},"ImageHeight":{"value":"20"},"ImageWidth":{"value":"40"}}`
	if a := processed(t, c, "a.png", "image/info"); a.Body != want {
		t.Errorf("info = %s, want %s", a.Body, want)
	}
	for process, want := range map[string]int{
		"image/resize": 400, "image/resize,w_0": 400, "image/resize,w_x": 400, "image/quality,q_101": 400, "image/watermark,text_YQ": 501,
		"image/format,webp": 501, "style/none": 404, "video/snapshot": 501,
	} {
		if a := processed(t, c, "a.png", process); a.Status != want {
			t.Errorf("%s: %d %+v, want %d", process, a.Status, a.Error, want)
		}
	}
	if a := processed(t, c, "a.txt", "image/info"); a.Status != http.StatusBadRequest {
		t.Errorf("no picture: %d", a.Status)
	}
}

func processed(t *testing.T, c *sdk.Client, objectKey, process string) answer {
	t.Helper()
	p := must[*sdk.PresignResult](t)(c.Presign(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey, Process: &process}))
	return get(t, p.URL)
}

func sdkSize(b bytes.Buffer) string { return strings.TrimSpace(mustJSON(b.Len())) }
