import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { startFakeCloud } from '../support/fake-cloud.mjs'
import { tempFiles } from '../support/files.mjs'
import { nodeWx } from '../support/node-wx.mjs'

const require = createRequire(import.meta.url)
const { createUploader } = require('../../sdk/miniprogram_dist/index.js')

async function setUp(t, knobs, options = {}) {
  const cloud = await startFakeCloud({ maxSize: 1 << 30, ...knobs })
  const wx = nodeWx()
  globalThis.wx = wx
  t.after(() => {
    wx.close()
    delete globalThis.wx
    return cloud.close()
  })
  const { multipart } = require('../../sdk/miniprogram_dist/multipart.js')
  const make = () => createUploader({ endpoint: cloud.url, getToken: () => 'x', retry: { baseMs: 1, capMs: 4 }, multipart: multipart({ from: 1 << 20 }), ...options })
  return { cloud, wx, make }
}
const pick = files => files.map(({ path, name, size }) => ({ path, name, size }))
const puts = cloud => cloud.log.filter(e => e.method === 'PUT').map(e => e.n)

test('large files go in parts, small ones by form, results in order', async t => {
  const { cloud, make } = await setUp(t)
  const files = tempFiles(t, 3, i => (i === 1 ? (5 << 18) + 123 : 1000), 'mp4')
  const results = await make().upload(pick(files)).done
  assert.deepEqual(results.map(r => r.status), ['uploaded', 'uploaded', 'uploaded'])
  results.forEach((r, i) => assert.deepEqual(cloud.objects.get(r.key).data, files[i].bytes))
  assert.deepEqual(puts(cloud).sort(), [1, 2, 3, 4, 5, 6])
  assert.equal(cloud.calls('/bucket').length, 2)
})

test('a part that fails is sent again with a new link, the others are not', async t => {
  let failures = 0
  const { cloud, make } = await setUp(t, { partError: n => (n === 3 && failures++ < 2 ? [403, 'AccessDenied', '0002-00000007'] : undefined) })
  const [file] = tempFiles(t, 1, 6 << 18, 'mp4')
  const [r] = await make().upload(pick([file])).done
  assert.equal(r.status, 'uploaded')
  assert.deepEqual(puts(cloud).sort(), [1, 2, 3, 3, 3, 4, 5, 6])
  assert.deepEqual(cloud.objects.get(r.key).data, file.bytes)
})

test('a part that fails takes no link away from its neighbours', async t => {
  let failures = 0
  let retries
  const retried = new Promise(resolve => (retries = resolve))
  const { cloud, wx, make } = await setUp(t, { partError: n => (n === 1 && !failures++ ? [503, 'ServiceUnavailable', ''] : undefined) }, {
    onEvent: e => e.type === 'retry' && retries(),
  })
  // The second part is still being read when the first has failed.
  const { readFile, ...others } = wx.getFileSystemManager()
  wx.getFileSystemManager = () => ({ ...others, readFile: o => (o.position === 1 << 18 ? retried.then(() => readFile(o)) : readFile(o)) })
  const [file] = tempFiles(t, 1, 4 << 18, 'mp4')
  const [r] = await make().upload(pick([file])).done
  assert.equal(r.status, 'uploaded', JSON.stringify(r))
  assert.deepEqual(puts(cloud).sort(), [1, 1, 2, 3, 4])
})

test('after a restart only the missing parts are sent', async t => {
  const { cloud, make } = await setUp(t, { partError: n => (n > 3 ? [503, 'ServiceUnavailable', ''] : undefined) }, { concurrency: 1 })
  const [file] = tempFiles(t, 1, 6 << 18, 'mp4')
  const [failed] = await make().upload(pick([file])).done
  assert.equal(failed.status, 'failed')
  cloud.knobs.partError = undefined
  cloud.log.length = 0
  // A new uploader stands for a new start of the app; only the storage is the same.
  const seen = []
  const [r] = await make().upload(pick([file]), { onProgress: p => seen.push(p.loaded) }).done
  assert.equal(r.status, 'uploaded')
  assert.deepEqual(puts(cloud).sort(), [4, 5, 6])
  assert.equal(cloud.calls('/v1/multipart').length, 0, 'the upload was not created again')
  assert.deepEqual(cloud.objects.get(r.key).data, file.bytes)
})

test('pause and resume keep the parts that have arrived', async t => {
  const { cloud, make } = await setUp(t, {}, { concurrency: 1 })
  const [file] = tempFiles(t, 1, 8 << 18, 'mp4')
  let paused = false
  const uploader = make()
  const batch = uploader.upload(pick([file]), {
    onProgress: p => {
      if (!paused && p.loaded > 3 << 18) {
        paused = true
        batch.pause()
        setTimeout(() => batch.resume(), 30)
      }
    },
  })
  cloud.knobs.partError = () => undefined
  const [r] = await batch.done
  assert.equal(r.status, 'uploaded')
  assert.deepEqual(cloud.objects.get(r.key).data, file.bytes)
})

test('an upload that the signer has forgotten begins anew', async t => {
  const { cloud, make } = await setUp(t, { partError: n => (n > 2 ? [503, 'ServiceUnavailable', ''] : undefined) })
  const [file] = tempFiles(t, 1, 4 << 18, 'mp4')
  await make().upload(pick([file])).done
  cloud.knobs.partError = undefined
  cloud.multiparts.clear()
  const [r] = await make().upload(pick([file])).done
  assert.equal(r.status, 'uploaded')
  assert.deepEqual(cloud.objects.get(r.key).data, file.bytes)
})

test('a signer without multipart uploads gets the form', async t => {
  const { cloud, make } = await setUp(t, { multipart: false })
  const [file] = tempFiles(t, 1, 2 << 20, 'mp4')
  const [r] = await make().upload(pick([file])).done
  assert.equal(r.status, 'uploaded')
  assert.equal(cloud.calls('/bucket').length, 1)
})
