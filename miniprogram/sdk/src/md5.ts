import type { Md5 } from './core/types.js'

// RFC 1321: shifts of the four rounds, and sines as constants.
const SHIFT = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]]
const SINE = Array.from({ length: 64 }, (_, i) => (Math.abs(Math.sin(i + 1)) * 0x100000000) | 0)

/** MD5 that takes its input in pieces; every piece but the last must be a multiple of 64 bytes. */
export class Md5State {
  private h_ = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476]
  private size_ = 0

  add(data: Uint8Array): this {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    const whole = data.length & ~63
    this.size_ += whole
    for (let at = 0; at < whole; at += 64) this.block_(view, at)
    return this
  }

  /** Adds the rest and returns lower-case hex. */
  end(rest: Uint8Array): string {
    this.add(rest)
    const tail = rest.subarray(rest.length & ~63)
    const last = new Uint8Array((tail.length + 72) & ~63)
    last.set(tail)
    last[tail.length] = 128
    const view = new DataView(last.buffer)
    const size = this.size_ + tail.length
    view.setUint32(last.length - 8, size << 3, true)
    view.setUint32(last.length - 4, size / 0x20000000, true)
    for (let at = 0; at < last.length; at += 64) this.block_(view, at)
    const out = new DataView(new ArrayBuffer(16))
    this.h_.forEach((v, i) => out.setInt32(i * 4, v, true))
    return Array.from(new Uint8Array(out.buffer), b => (b < 16 ? '0' : '') + b.toString(16)).join('')
  }

  private block_(view: DataView, at: number): void {
    let [a, b, c, d] = this.h_
    for (let i = 0; i < 64; i++) {
      let f: number
      let g: number
      if (i < 16) {
        f = (b & c) | (~b & d)
        g = i
      } else if (i < 32) {
        f = (d & b) | (~d & c)
        g = (5 * i + 1) & 15
      } else if (i < 48) {
        f = b ^ c ^ d
        g = (3 * i + 5) & 15
      } else {
        f = c ^ (b | ~d)
        g = (7 * i) & 15
      }
      f = (f + a + SINE[i] + view.getInt32(at + g * 4, true)) | 0
      const s = SHIFT[i >> 4][i & 3]
      a = d
      d = c
      c = b
      b = (b + ((f << s) | (f >>> (32 - s)))) | 0
    }
    const h = this.h_
    h[0] = (h[0] + a) | 0
    h[1] = (h[1] + b) | 0
    h[2] = (h[2] + c) | 0
    h[3] = (h[3] + d) | 0
  }
}

// One piece is hashed in a few milliseconds with a JIT and in about 130 without (iOS), then the page may draw.
const SLICE = 1 << 20

/** For the option `md5`: hashes in slices, so that neither memory nor the page suffers from a large file. */
export const md5: Md5 = async (read, size) => {
  const state = new Md5State()
  let at = 0
  for (; size - at > SLICE; at += SLICE) {
    state.add(new Uint8Array(await read(at, SLICE)))
    await new Promise(resolve => setTimeout(resolve, 0))
  }
  return state.end(new Uint8Array(size > at ? await read(at, size - at) : []))
}
