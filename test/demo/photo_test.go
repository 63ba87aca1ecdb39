package demo

import (
	"bytes"
	"image"
	"testing"
)

func TestPictures(t *testing.T) {
	tests := map[string]struct {
		make     func(uint64) ([]byte, error)
		format   string
		min, max int
	}{
		"photo":   {Photo, "jpeg", 50 << 10, 2 << 20},
		"sticker": {Sticker, "png", 1 << 10, 1 << 20},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			one, err := tc.make(1)
			if err != nil {
				t.Fatal(err)
			}
			if _, format, err := image.Decode(bytes.NewReader(one)); err != nil || format != tc.format {
				t.Errorf("decodes as %q, %v, want %q", format, err, tc.format)
			}
			if len(one) < tc.min || len(one) > tc.max {
				t.Errorf("has %d bytes, want %d to %d", len(one), tc.min, tc.max)
			}
			other, err := tc.make(2)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(one, other) {
				t.Error("two seeds give the same picture")
			}
		})
	}
}
