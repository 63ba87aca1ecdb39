package oss

import (
	"bytes"
	"encoding/json"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Image processing on download: info, resize, quality and format of JPEG, PNG and GIF, and styles made of them. That
// is what thumbnails need; the other actions of the real service are answered with 501.

// Limits of source images (H/zh/oss/user-guide/overview-17); the pixels are fewer than OSS allows, to bound memory.
const (
	maxImageBytes  = 20 << 20
	maxImagePixels = 60_000_000
)

// imageAction is one step, for example resize,w_100,m_fill.
type imageAction struct {
	name   string
	params map[string]string
	flag   string // a parameter without a value, as in format,png
}

// parseProcess reads the value of x-oss-process, a style's content included.
func (q *request) parseProcess(value string) ([]imageAction, *Error) {
	if name, ok := strings.CutPrefix(value, "style/"); ok {
		style, ok := styles(q.info)[name]
		if !ok {
			return nil, newError(http.StatusNotFound, "NoSuchStyle", "", "The specified style does not exist.")
		}
		value = style.Content
	}
	steps, ok := strings.CutPrefix(value, "image/")
	if !ok {
		return nil, notImplemented("x-oss-process other than image/ and style/")
	}
	var actions []imageAction
	for step := range strings.SplitSeq(steps, "/") {
		parts := strings.Split(step, ",")
		a := imageAction{name: parts[0], params: map[string]string{}}
		for _, p := range parts[1:] {
			if name, v, ok := strings.Cut(p, "_"); ok {
				a.params[name] = v
			} else {
				a.flag = p
			}
		}
		if !slices.Contains([]string{"info", "resize", "quality", "format"}, a.name) {
			return nil, notImplemented("image processing action " + a.name)
		}
		actions = append(actions, a)
	}
	return actions, nil
}

func badProcess(message string) *Error {
	return invalidArgument("", "x-oss-process", "", "%s", message)
}

// process answers a GetObject with x-oss-process.
func (q *request) process(o *store.Object, r *store.Reader, value string) *Error {
	actions, err := q.parseProcess(value)
	if err != nil {
		return err
	}
	if o.Size > maxImageBytes {
		return badProcess("The image is larger than 20 MB.")
	}
	var source bytes.Buffer
	if err := r.CopyRange(&source, 0, o.Size); err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	config, format, decodeErr := image.DecodeConfig(bytes.NewReader(source.Bytes()))
	if decodeErr != nil || config.Width*config.Height > maxImagePixels {
		return badProcess("This image format is not supported.")
	}
	body, contentType, err := render(source.Bytes(), format, o.Size, actions)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	if err := q.overrideHeaders(); err != nil {
		return err
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(http.StatusOK)
	// A client that has gone away is not this server's failure.
	_, _ = q.w.Write(body)
	return nil
}

// render applies the actions to an image.
func render(source []byte, format string, size int64, actions []imageAction) ([]byte, string, *Error) {
	picture, _, err := image.Decode(bytes.NewReader(source))
	if err != nil {
		return nil, "", badProcess("This image format is not supported.")
	}
	quality := jpeg.DefaultQuality
	for _, a := range actions {
		var failure *Error
		switch a.name {
		case "info":
			return imageInfoJSON(picture.Bounds(), format, size)
		case "resize":
			picture, failure = a.resize(picture)
		case "quality":
			quality, failure = a.quality()
		case "format":
			format, failure = a.format()
		}
		if failure != nil {
			return nil, "", failure
		}
	}
	var out bytes.Buffer
	switch format {
	case "png":
		err = png.Encode(&out, picture)
	case "gif":
		err = gif.Encode(&out, picture, nil)
	default:
		err = jpeg.Encode(&out, picture, &jpeg.Options{Quality: quality})
	}
	if err != nil {
		return nil, "", badProcess("The image could not be processed.")
	}
	return out.Bytes(), "image/" + format, nil
}

func imageInfoJSON(b image.Rectangle, format string, size int64) ([]byte, string, *Error) {
	type value struct {
		Value string `json:"value"`
	}
	if format == "jpeg" {
		format = "jpg"
	}
	body, err := json.Marshal(map[string]value{
		"FileSize": {strconv.FormatInt(size, 10)}, "Format": {format},
		"ImageHeight": {strconv.Itoa(b.Dy())}, "ImageWidth": {strconv.Itoa(b.Dx())},
	})
	if err != nil {
		return nil, "", fromStore(err, "", "")
	}
	return body, "application/json", nil
}

func (a imageAction) format() (string, *Error) {
	switch a.flag {
	case "jpg", "jpeg":
		return "jpeg", nil
	case "png", "gif":
		return a.flag, nil
	}
	return "", notImplemented("image format " + a.flag)
}

func (a imageAction) quality() (int, *Error) {
	text := a.params["q"]
	if text == "" {
		text = a.params["Q"]
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 100 {
		return 0, badProcess("The quality must be between 1 and 100.")
	}
	return n, nil
}

// length reads a side in pixels; 0 when it is not given.
func (a imageAction) length(name string, limit int) (int, *Error) {
	text, ok := a.params[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, badProcess("The parameter " + name + " of resize is out of range.")
	}
	return n, nil
}

// maxSide is the longest side that resize may ask for.
const maxSide = 16384

// resize scales as H/zh/oss/user-guide/resize-images-4 says; it does not enlarge unless limit_0 is given.
func (a imageAction) resize(source image.Image) (image.Image, *Error) {
	sides := map[string]int{}
	for _, name := range []string{"w", "h", "l", "s"} {
		n, err := a.length(name, maxSide)
		if err != nil {
			return nil, err
		}
		sides[name] = n
	}
	percent, err := a.length("p", 1000)
	if err != nil {
		return nil, err
	}
	box := source.Bounds().Size()
	target, crop, err := a.target(box, sides, percent)
	if err != nil {
		return nil, err
	}
	if a.params["limit"] != "0" && percent == 0 && (target.X > box.X || target.Y > box.Y) {
		return source, nil
	}
	if target.X*target.Y > maxImagePixels {
		return nil, badProcess("The resulting image is too large.")
	}
	scaled := scale(source, target)
	if crop == (image.Point{}) {
		return scaled, nil
	}
	corner := image.Pt((target.X-crop.X)/2, (target.Y-crop.Y)/2)
	return scaled.SubImage(image.Rectangle{corner, corner.Add(crop)}), nil
}

// target is the size to scale to, and for m_fill the size to cut out of it.
func (a imageAction) target(box image.Point, sides map[string]int, percent int) (target, crop image.Point, err *Error) {
	fit := func(factor float64) image.Point {
		return image.Pt(max(1, int(float64(box.X)*factor+0.5)), max(1, int(float64(box.Y)*factor+0.5)))
	}
	if percent > 0 {
		return fit(float64(percent) / 100), crop, nil
	}
	w, h := sides["w"], sides["h"]
	byWidth, byHeight := float64(w)/float64(box.X), float64(h)/float64(box.Y)
	switch {
	case sides["l"] > 0:
		return fit(float64(sides["l"]) / float64(max(box.X, box.Y))), crop, nil
	case sides["s"] > 0:
		return fit(float64(sides["s"]) / float64(min(box.X, box.Y))), crop, nil
	case w == 0 && h == 0:
		return target, crop, badProcess("resize needs w, h, l, s or p.")
	case h == 0:
		return fit(byWidth), crop, nil
	case w == 0:
		return fit(byHeight), crop, nil
	}
	switch a.params["m"] {
	case "", "lfit":
		return fit(min(byWidth, byHeight)), crop, nil
	case "mfit":
		return fit(max(byWidth, byHeight)), crop, nil
	case "fill":
		return fit(max(byWidth, byHeight)), image.Pt(w, h), nil
	case "fixed":
		return image.Pt(w, h), crop, nil
	}
	return target, crop, notImplemented("resize mode " + a.params["m"])
}

// scale averages the source pixels behind each target pixel.
func scale(source image.Image, size image.Point) *image.RGBA64 {
	out := image.NewRGBA64(image.Rectangle{Max: size})
	b := source.Bounds()
	for y := range size.Y {
		y0, y1 := span(y, size.Y, b.Dy())
		for x := range size.X {
			x0, x1 := span(x, size.X, b.Dx())
			var sum [4]uint64
			for sy := y0; sy < y1; sy++ {
				for sx := x0; sx < x1; sx++ {
					r, g, bl, al := source.At(b.Min.X+sx, b.Min.Y+sy).RGBA()
					sum[0], sum[1], sum[2], sum[3] = sum[0]+uint64(r), sum[1]+uint64(g), sum[2]+uint64(bl), sum[3]+uint64(al)
				}
			}
			n := uint64((x1 - x0) * (y1 - y0))
			i := out.PixOffset(x, y)
			for c, v := range sum {
				v /= n
				out.Pix[i+2*c], out.Pix[i+2*c+1] = uint8(v>>8), uint8(v)
			}
		}
	}
	return out
}

// span is the run of source pixels behind target pixel i, at least one.
func span(i, target, source int) (from, to int) {
	from = i * source / target
	return from, max((i+1)*source/target, from+1)
}
