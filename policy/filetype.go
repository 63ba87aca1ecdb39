package policy

import (
	"slices"
	"strings"
)

// knownTypes names, per extension, the content types that files of it are sent with, separated by spaces;
// the first is the usual one. An extension that is missing here is not held against its type.
//
//nolint:gocyclo // a table, written as a switch because a map would be mutable
func knownTypes(ext string) string {
	switch ext {
	case "jpg", "jpeg", "jfif":
		return "image/jpeg image/jpg image/pjpeg"
	case "png", "apng":
		return "image/png image/apng image/x-png"
	case "gif":
		return "image/gif"
	case "webp":
		return "image/webp"
	case "bmp":
		return "image/bmp image/x-ms-bmp"
	case "tif", "tiff":
		return "image/tiff"
	case "heic", "heif":
		return "image/heic image/heif image/heic-sequence image/heif-sequence"
	case "avif":
		return "image/avif"
	case "svg":
		return "image/svg+xml"
	case "ico":
		return "image/x-icon image/vnd.microsoft.icon"
	case "mp4", "m4v":
		return "video/mp4 video/x-m4v audio/mp4 application/mp4"
	case "mov", "qt":
		return "video/quicktime"
	case "webm":
		return "video/webm audio/webm"
	case "avi":
		return "video/x-msvideo video/avi"
	case "mkv":
		return "video/x-matroska video/matroska"
	case "mp3":
		return "audio/mpeg audio/mp3"
	case "m4a":
		return "audio/mp4 audio/x-m4a audio/m4a"
	case "aac":
		return "audio/aac audio/x-aac"
	case "wav":
		return "audio/wav audio/x-wav audio/wave audio/vnd.wave"
	case "ogg", "oga":
		return "audio/ogg video/ogg application/ogg"
	case "flac":
		return "audio/flac audio/x-flac"
	case "pdf":
		return "application/pdf"
	case "txt", "log":
		return "text/plain"
	case "csv":
		return "text/csv application/vnd.ms-excel text/plain"
	case "html", "htm":
		return "text/html"
	case "json":
		return "application/json text/json"
	case "zip":
		return "application/zip application/x-zip-compressed"
	case "doc":
		return "application/msword"
	case "docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case "xls":
		return "application/vnd.ms-excel"
	case "xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case "ppt":
		return "application/vnd.ms-powerpoint"
	case "pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	}
	return ""
}

// usualExtensions are tried, in this order, for a file without a name.
func usualExtensions() []string {
	return []string{"jpg", "jpeg", "png", "gif", "webp", "heic", "bmp", "tiff", "avif", "svg", "mp4", "mov", "webm", "avi", "mkv",
		"mp3", "m4a", "aac", "wav", "ogg", "flac", "pdf", "txt", "csv", "json", "zip", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "html"}
}

// typeOfExtension is the usual content type of files with ext.
func typeOfExtension(ext string) (string, bool) {
	usual, _, _ := strings.Cut(knownTypes(ext), " ")
	return usual, usual != ""
}

// extensionOfType names an extension for a file that came without one: an allowed one when there is a
// list, the usual one otherwise, "bin" for types nobody knows.
func extensionOfType(contentType string, allowed []string) string {
	for _, ext := range usualExtensions() {
		if isSentAs(ext, contentType) && (len(allowed) == 0 || slices.Contains(allowed, ext)) {
			return ext
		}
	}
	return "bin"
}

// agree tells whether ext may carry contentType. application/octet-stream claims nothing, so it agrees
// with everything, and an unknown extension agrees with every type.
func agree(ext, contentType string) bool {
	return knownTypes(ext) == "" || contentType == "application/octet-stream" || isSentAs(ext, contentType)
}

// isSentAs tells whether files of ext are known to be sent as contentType.
func isSentAs(ext, contentType string) bool {
	for known := range strings.SplitSeq(knownTypes(ext), " ") {
		if known == contentType {
			return true
		}
	}
	return false
}
