import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { afterEach, test } from 'node:test'

const { chooseMedia, chooseMessageFile, compressImages } = createRequire(import.meta.url)('../../sdk/miniprogram_dist/pickers.js')
afterEach(() => delete globalThis.wx)

test('both pickers give the same shape', async () => {
  const asked = []
  globalThis.wx = {
    chooseMedia: o => (asked.push(o.count), o.success({ tempFiles: [
      { tempFilePath: 'wxfile://a.jpg', size: 10, fileType: 'image' },
      { tempFilePath: 'wxfile://b.mp4', size: 20, fileType: 'video', thumbTempFilePath: 'wxfile://b.png' },
    ] })),
    chooseMessageFile: o => (asked.push(o.count), o.success({ tempFiles: [
      { path: 'wxfile://c.pdf', name: '合同.pdf', size: 30, type: 'file' }, { path: 'wxfile://d.jpg', name: 'd.jpg', size: 40, type: 'image' },
    ] })),
  }
  assert.deepEqual(await chooseMedia({ count: 9 }), [
    { path: 'wxfile://a.jpg', size: 10, thumb: 'wxfile://a.jpg' }, { path: 'wxfile://b.mp4', size: 20, thumb: 'wxfile://b.png' },
  ])
  assert.deepEqual(await chooseMessageFile(), [
    { path: 'wxfile://c.pdf', name: '合同.pdf', size: 30, thumb: undefined }, { path: 'wxfile://d.jpg', name: 'd.jpg', size: 40, thumb: 'wxfile://d.jpg' },
  ])
  assert.deepEqual(asked, [9, 100])
})

test('closing a picker is no error, a refused permission is', async () => {
  globalThis.wx = { chooseMedia: o => o.fail({ errMsg: 'chooseMedia:fail cancel' }) }
  assert.deepEqual(await chooseMedia(), [])
  globalThis.wx = { chooseMedia: o => o.fail({ errMsg: 'chooseMedia:fail auth deny' }) }
  await assert.rejects(chooseMedia(), { errMsg: 'chooseMedia:fail auth deny' })
})

test('compression takes large JPEG pictures only and never stands in the way', async () => {
  let seen
  globalThis.wx = { compressImage: o => ((seen = o), o.success({ tempFilePath: 'wxfile://small.jpg' })) }
  const compress = compressImages({ quality: 70, maxWidth: 1600, overBytes: 1000 })
  const large = { path: 'wxfile://a.JPEG', size: 2000, name: 'a.JPEG', meta: { a: '1' } }
  assert.deepEqual(await compress(large), { ...large, path: 'wxfile://small.jpg', size: undefined })
  assert.deepEqual([seen.src, seen.quality, seen.compressedWidth], ['wxfile://a.JPEG', 70, 1600])
  for (const file of [{ path: 'a.jpg', size: 999 }, { path: 'a.png', size: 5000 }]) assert.equal(await compress(file), file)
  globalThis.wx = { compressImage: o => o.fail({ errMsg: 'compressImage:fail' }) }
  assert.equal(await compress(large), large)
})
