package oss

import (
	"bytes"
	"encoding/binary"
	"image"
	_ "image/gif"  // registers the format
	_ "image/jpeg" // registers the format
	_ "image/png"  // registers the format
	"strconv"
)

// imageInfo is what ${imageInfo.*} says; the zero value is "no image".
type imageInfo struct {
	width, height int
	format        string
}

func (i imageInfo) dimension(n int) string {
	if i.format == "" {
		return ""
	}
	return strconv.Itoa(n)
}

// imageHead is how much of an object is looked at. Camera JPEGs carry previews and colour profiles before the
// frame header.
const imageHead = 512 << 10

// detectImage reads format and size from the beginning of an object.
func detectImage(head []byte) imageInfo {
	if c, format, err := image.DecodeConfig(bytes.NewReader(head)); err == nil {
		if format == "jpeg" {
			format = "jpg"
		}
		return imageInfo{c.Width, c.Height, format}
	}
	if len(head) >= 30 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP" {
		return detectWebP(head)
	}
	if len(head) >= 26 && string(head[:2]) == "BM" {
		height := int(int32(binary.LittleEndian.Uint32(head[22:]))) // negative: top-down
		return imageInfo{int(binary.LittleEndian.Uint32(head[18:])), max(height, -height), "bmp"}
	}
	return imageInfo{}
}

// detectWebP reads the three kinds of first chunk (RFC 9649).
func detectWebP(head []byte) imageInfo {
	switch string(head[12:16]) {
	case "VP8 ":
		return imageInfo{
			int(binary.LittleEndian.Uint16(head[26:])) & 0x3fff, int(binary.LittleEndian.Uint16(head[28:])) & 0x3fff, "webp",
		}
	case "VP8L":
		bits := binary.LittleEndian.Uint32(head[21:])
		return imageInfo{int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1, "webp"}
	case "VP8X":
		le24 := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
		return imageInfo{le24(head[24:]) + 1, le24(head[27:]) + 1, "webp"}
	}
	return imageInfo{}
}
