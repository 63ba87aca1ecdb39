// Package sniff holds the first bytes of a file against the content type that it claims.
package sniff

import (
	"bytes"
	"net/http"
	"strings"
)

// Bytes is how much of a file tells its type; the algorithm of browsers looks at no more.
// Source: https://mimesniff.spec.whatwg.org/#reading-the-resource-header
const Bytes = 512

// signatures of types that can always be told, so that a file without them is another one. Each is an
// offset and the texts of which one must stand there.
var signatures = map[string]struct {
	at    int
	texts []string
}{
	"image/jpeg":       {0, []string{"\xff\xd8\xff"}},
	"image/jpg":        {0, []string{"\xff\xd8\xff"}},
	"image/pjpeg":      {0, []string{"\xff\xd8\xff"}},
	"image/png":        {0, []string{"\x89PNG\r\n\x1a\n"}},
	"image/apng":       {0, []string{"\x89PNG\r\n\x1a\n"}},
	"image/gif":        {0, []string{"GIF87a", "GIF89a"}},
	"image/bmp":        {0, []string{"BM"}},
	"image/tiff":       {0, []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"}},
	"image/webp":       {8, []string{"WEBP"}},
	"image/heic":       {4, []string{"ftyp"}},
	"image/heif":       {4, []string{"ftyp"}},
	"image/avif":       {4, []string{"ftyp"}},
	"video/mp4":        {4, []string{"ftyp", "styp"}},
	"video/quicktime":  {4, []string{"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot"}},
	"video/webm":       {0, []string{"\x1a\x45\xdf\xa3"}},
	"video/x-matroska": {0, []string{"\x1a\x45\xdf\xa3"}},
	"audio/wav":        {8, []string{"WAVE"}},
	"audio/ogg":        {0, []string{"OggS"}},
	"audio/flac":       {0, []string{"fLaC"}},
	"application/pdf":  {0, []string{"%PDF-"}},
	"application/gzip": {0, []string{"\x1f\x8b"}},
	"application/zip":  {0, []string{"PK"}},
}

// programs begin like this: ELF, Windows, Mach-O in both orders, and Java.
var programs = []string{"\x7fELF", "MZ", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"}

// Agrees tells whether a file that begins with data may be of contentType, which is lower-case and without
// parameters. What cannot be told is accepted, except for types that always can be told; a page, a script
// or a program is never accepted as an image, a video or a sound.
func Agrees(contentType string, data []byte) bool {
	if len(data) > Bytes {
		data = data[:Bytes]
	}
	if s, known := signatures[contentType]; known {
		for _, text := range s.texts {
			if len(data) >= s.at && bytes.HasPrefix(data[s.at:], []byte(text)) {
				return true
			}
		}
		return false
	}
	major, minor, _ := strings.Cut(contentType, "/")
	if major == "application" && minor == "octet-stream" {
		return true
	}
	for _, p := range programs {
		if bytes.HasPrefix(data, []byte(p)) {
			return major == "application"
		}
	}
	sniffed, _, _ := strings.Cut(http.DetectContentType(data), ";")
	return agree(major, minor, sniffed)
}

// agree compares with what the algorithm of browsers says.
func agree(major, minor, sniffed string) bool {
	markup := minor == "html" || minor == "xhtml+xml" || strings.HasSuffix(minor, "xml")
	sniffedMajor, _, _ := strings.Cut(sniffed, "/")
	switch {
	case sniffed == "text/html" || sniffed == "text/xml":
		return markup // pages and scripts hide behind every other type
	case sniffed == "text/plain":
		return major == "text" || major == "application" || markup
	case sniffed == "application/octet-stream":
		return major != "text"
	case sniffedMajor == "video" || sniffedMajor == "audio" || sniffed == "application/ogg":
		return major == "video" || major == "audio"
	case sniffedMajor == "image":
		return major == "image"
	}
	return major == "application" || major == sniffedMajor
}
