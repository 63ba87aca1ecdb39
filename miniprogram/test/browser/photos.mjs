// Pictures for a picker, painted in the page: landscapes that differ in light and hills.

/** Puts count pictures into window.__pick; `more` adds what a careless person picks besides. */
export async function paint(page, count, { tooLarge = false, wrongType = false, seed = 1 } = {}) {
  await page.evaluate(async ({ count, tooLarge, wrongType, seed }) => {
    // What was painted once is the same file again, byte for byte.
    const painted = (window.__painted ||= {})
    const one = n => (painted[n] ||= paint(n, 900, 900))
    const paint = async (n, width, height) => {
      const canvas = document.createElement('canvas')
      canvas.width = width
      canvas.height = height
      const c = canvas.getContext('2d')
      const hue = (n * 47 + 190) % 360
      const sky = c.createLinearGradient(0, 0, 0, height)
      sky.addColorStop(0, `hsl(${hue} 70% 72%)`)
      sky.addColorStop(1, `hsl(${(hue + 40) % 360} 80% 90%)`)
      c.fillStyle = sky
      c.fillRect(0, 0, width, height)
      c.fillStyle = 'rgba(255,244,214,.95)'
      c.beginPath()
      c.arc(width * (0.25 + ((n * 37) % 50) / 100), height * 0.28, width * 0.09, 0, 7)
      c.fill()
      for (let layer = 0; layer < 4; layer++) {
        c.fillStyle = `hsl(${(hue + 150 + layer * 14) % 360} ${30 + layer * 6}% ${62 - layer * 13}%)`
        c.beginPath()
        c.moveTo(0, height)
        for (let x = 0; x <= width; x += 20) {
          c.lineTo(x, height * (0.5 + layer * 0.12) - Math.sin(x / (130 + layer * 40) + n * 2.1 + layer) * height * 0.09 - Math.sin(x / 57 + n) * 14)
        }
        c.lineTo(width, height)
        c.fill()
      }
      return new Promise(resolve => canvas.toBlob(resolve, 'image/jpeg', 0.85))
    }
    const noise = bytes => {
      const data = new Uint8Array(bytes)
      for (let at = 0; at < bytes; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536))
      return data
    }
    const pictures = await Promise.all(Array.from({ length: count }, (_, i) => one(seed * 10 + i)))
    if (tooLarge) {
      const small = await one(seed * 10 + 77)
      pictures.splice(4, 0, new Blob([small, noise(3 << 20)], { type: 'image/jpeg' }))
    }
    if (wrongType) pictures.splice(7, 0, new Blob([await one(seed * 10 + 88)], { type: 'image/gif' }))
    window.__pick = pictures
  }, { count, tooLarge, wrongType, seed })
}
