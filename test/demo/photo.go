package demo

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
)

// Photo returns a JPEG photograph, as far as an encoder can tell: a landscape with a sky, a sun, hills behind
// hills and the grain of a sensor, different for every seed. A generated one needs no license and no megabyte
// in the repository.
func Photo(seed uint64) ([]byte, error) {
	const width, height = 1280, 960
	grain := rand.New(rand.NewPCG(seed, 1))
	ridges := newRidges(grain, width, height)
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			r, g, b := ridges.color(x, y, float64(y)/height)
			noise := grain.NormFloat64() * 4
			img.SetRGBA(x, y, color.RGBA{clamp(r + noise), clamp(g + noise), clamp(b + noise), 255})
		}
	}
	var out bytes.Buffer
	err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 88})
	return out.Bytes(), err
}

// ridges are hills, the nearest last.
type ridges struct {
	tops  [][]float64 // height of each ridge at each column
	sunX  float64
	width float64
}

func newRidges(random *rand.Rand, width, height int) ridges {
	r := ridges{sunX: random.Float64(), width: float64(width)}
	for level := range 4 {
		base := float64(height) * (0.45 + 0.13*float64(level))
		top := make([]float64, width)
		for octave := 1; octave <= 64; octave *= 2 {
			phase, size := random.Float64()*2*math.Pi, 90/float64(octave)
			for x := range top {
				top[x] += size * math.Sin(float64(x)*float64(octave)*2*math.Pi/float64(width)+phase)
			}
		}
		for x := range top {
			top[x] += base
		}
		r.tops = append(r.tops, top)
	}
	return r
}

// color of a point: the nearest ridge that reaches it, darker and greener the nearer it is, or the sky.
func (r ridges) color(x, y int, down float64) (red, green, blue float64) {
	for level := len(r.tops) - 1; level >= 0; level-- {
		if depth := float64(y) - r.tops[level][x]; depth > 0 {
			haze, shade := 1-float64(level)/4, math.Min(depth/6, 30)
			return 40 + 120*haze - shade, 70 + 90*haze - shade/2, 50 + 130*haze - shade
		}
	}
	glow := 160 * math.Exp(-18*math.Hypot(float64(x)/r.width-r.sunX, down-0.25))
	return 120 + 90*down + glow, 160 + 60*down + glow*0.8, 225 - 40*down + glow*0.3
}

func clamp(v float64) uint8 { return uint8(math.Max(0, math.Min(255, v))) }

// Sticker returns a PNG with flat colours and transparency, as drawings have.
func Sticker(seed uint64) ([]byte, error) {
	const side = 360
	random := rand.New(rand.NewPCG(seed, 2))
	hue := color.NRGBA{uint8(128 + random.IntN(127)), uint8(random.IntN(255)), uint8(random.IntN(255)), 255}
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			dx, dy := float64(x-side/2), float64(y-side/2)
			switch radius := math.Hypot(dx, dy); {
			case radius > side/2:
			case math.Mod(math.Atan2(dy, dx)+2*math.Pi, math.Pi/4) < math.Pi/8:
				img.SetNRGBA(x, y, hue)
			default:
				img.SetNRGBA(x, y, color.NRGBA{255, 255, 255, 200})
			}
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return out.Bytes(), err
}
