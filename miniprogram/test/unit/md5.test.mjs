import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const { md5 } = createRequire(import.meta.url)('../../sdk/miniprogram_dist/md5.js')
const want = data => createHash('md5').update(data).digest('hex')
const got = data => md5(async (at, n) => data.buffer.slice(data.byteOffset + at, data.byteOffset + at + n), data.length)

test('md5 agrees with RFC 1321 and with the platform at every border', async () => {
  assert.equal(await got(Buffer.from('')), 'd41d8cd98f00b204e9800998ecf8427e')
  assert.equal(await got(Buffer.from('message digest')), 'f96b697d7cb7938d525a2f31aaf161d0')
  for (const size of [1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]) {
    const data = randomBytes(size)
    assert.equal(await got(data), want(data), `${size} bytes`)
  }
})

test('md5 reads a large file in slices', async () => {
  const reads = []
  await md5(async (at, n) => {
    reads.push([at, n])
    return new ArrayBuffer(n)
  }, (5 << 19) + 1)
  assert.deepEqual(reads, [[0, 1 << 20], [1 << 20, 1 << 20], [2 << 20, (1 << 19) + 1]])
})
