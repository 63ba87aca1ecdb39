// The package as it is shipped against the real signer and the emulated OSS: real signatures, real callbacks.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { tempFiles } from '../support/files.mjs'
import { nodeWx } from '../support/node-wx.mjs'
import { startRealCloud } from '../support/real-cloud.mjs'

const require = createRequire(import.meta.url)
const { createUploader } = require('../../sdk/miniprogram_dist/index.js')
const hex = data => createHash('md5').update(data).digest('hex')
const pick = files => files.map(({ path, name, size }) => ({ path, name, size }))

let cloud
let users = 0
before(async () => (cloud = await startRealCloud({ maxSize: '100Mi' })))
after(() => cloud?.close())

/** An uploader for a user of its own. */
function setUp(t, options = {}) {
  const wx = nodeWx()
  const user = 'user' + ++users
  const events = []
  t.after(async () => {
    wx.close()
    await cloud.faults()
  })
  const uploader = createUploader({
    endpoint: cloud.url, wx, getToken: () => 'dev:' + user, retry: { baseMs: 2, capMs: 20, attempts: 6 }, onEvent: e => events.push(e), ...options,
  })
  return { wx, user, uploader, events }
}

/** What the bucket and the index have to say about results that are all uploaded. */
async function holds(user, files, results) {
  assert.deepEqual(results.map(r => [r.index, r.status]), files.map((_, i) => [i, 'uploaded']), JSON.stringify(results.find(r => r.status !== 'uploaded')))
  const records = await cloud.records(user)
  assert.equal(records.length, files.length, 'one record per file')
  const byId = new Map(records.map(r => [r.id, r]))
  results.forEach((r, i) => {
    const record = byId.get(r.id)
    assert.equal(record.name, files[i].name)
    assert.equal(record.size, files[i].size)
    assert.equal(record.md5, hex(files[i].bytes))
    assert.equal(record.key, r.key)
  })
}

test('a batch arrives, in order, recorded by the callback', async t => {
  const { uploader, user, wx } = setUp(t)
  const files = tempFiles(t, 9, i => 1000 + i)
  const results = await uploader.upload(pick(files)).done
  await holds(user, files, results)
  assert.equal(wx.stats.requests.filter(r => r === 'POST /v1/uploads').length, 1)
  assert.equal(wx.stats.requests.filter(r => r.endsWith('/complete')).length, 0)
})

test('more files than one request takes are asked for in groups of the right size', async t => {
  const { uploader, user, wx } = setUp(t)
  const files = tempFiles(t, 45, 100)
  await holds(user, files, await uploader.upload(pick(files)).done)
  assert.equal(wx.stats.requests.filter(r => r === 'POST /v1/uploads').length, 4, 'one that is refused, then 20, 20 and 5')
})

test('lost callbacks are completed by the client', async t => {
  const { uploader, user, events } = setUp(t)
  await cloud.faults({ seed: 1, callbackDrop: 1 })
  const files = tempFiles(t, 4)
  const results = await uploader.upload(pick(files)).done
  await holds(user, files, results)
  assert.ok(results.every(r => r.confirmed))
  assert.equal(events.filter(e => e.type === 'confirm').length, 4)
})

test('failing uploads are tried again', async t => {
  // Which file is hit depends on the order of arrival: even one that is hit every time has to get through.
  const { uploader, user } = setUp(t, { retry: { baseMs: 2, capMs: 20, attempts: 20 } })
  await cloud.faults({ seed: 7, errorRate: 0.4, errorCode: 'ServiceUnavailable', operations: ['PostObject'] })
  const files = tempFiles(t, 12)
  await holds(user, files, await uploader.upload(pick(files)).done)
})

test('connections that break before, in and after an upload store nothing twice', async t => {
  const { uploader, user } = setUp(t, { retry: { baseMs: 2, capMs: 20, attempts: 20 } })
  await cloud.faults({ seed: 5, requestDrop: 0.2, responseDrop: 0.3, operations: ['PostObject'] })
  const files = tempFiles(t, 30)
  const results = await uploader.upload(pick(files)).done
  await cloud.faults()
  await holds(user, files, results)
})

test('limits of the tenant reach the person as classes', async t => {
  const { uploader } = setUp(t)
  const [good, exe, big] = pick(tempFiles(t, 3))
  Object.assign(exe, { name: 'setup.exe' })
  Object.assign(big, { size: 101 << 20 })
  const results = await uploader.upload([exe, good, big]).done
  assert.deepEqual(results.map(r => [r.status, r.error && r.error.code]), [['failed', 'type'], ['uploaded', undefined], ['failed', 'tooLarge']])
})

test('a size that is not the declared one is refused by OSS itself', async t => {
  const { uploader } = setUp(t)
  const [file] = pick(tempFiles(t, 1))
  const [r] = await uploader.upload([{ ...file, size: 999 }]).done
  assert.equal(r.error.code, 'tooLarge')
  assert.equal(r.error.oss.code, 'EntityTooLarge')
  assert.equal(r.error.oss.ec, '0006-00000003')
  assert.ok(r.error.oss.requestId)
})

test('a user without a valid token is told so', async t => {
  const { uploader } = setUp(t, { getToken: () => 'nobody' })
  const [r] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(r.error.code, 'auth')
  assert.ok(r.error.problem.requestId)
})

test('metadata travels with the upload', async t => {
  const { uploader, user } = setUp(t)
  const [file] = pick(tempFiles(t, 1))
  await uploader.upload([{ ...file, meta: { album: '家庭', place: 'Hangzhou' } }]).done
  assert.deepEqual((await cloud.records(user))[0].metadata, { album: '家庭', place: 'Hangzhou' })
})

test('names in Chinese and with signs survive', async t => {
  const { uploader, user } = setUp(t)
  const [file] = pick(tempFiles(t, 1))
  const name = '国庆 节 "合影" & 100%.jpg'
  const [r] = await uploader.upload([{ ...file, name }]).done
  assert.equal(r.status, 'uploaded')
  assert.equal((await cloud.records(user))[0].name, name)
})

test('a large file goes in parts of presigned PUTs, and on after a failure', async t => {
  const { wx, user, uploader: plain } = setUp(t)
  globalThis.wx = wx
  t.after(() => delete globalThis.wx)
  const { multipart } = require('../../sdk/miniprogram_dist/multipart.js')
  const make = attempts => createUploader({
    endpoint: cloud.url, wx, getToken: () => 'dev:' + user, concurrency: 2, retry: { baseMs: 2, capMs: 20, attempts }, multipart: multipart({ from: 1 << 20 }),
  })
  const [file] = tempFiles(t, 1, (20 << 20) + 12345, 'mp4')
  await cloud.faults({ seed: 2, errorRate: 0.6, errorCode: 'ServiceUnavailable', operations: ['UploadPart'] })
  const [failed] = await make(1).upload(pick([file])).done
  assert.equal(failed.status, 'failed')
  await cloud.faults()
  const [r] = await make(4).upload(pick([file])).done
  assert.equal(r.status, 'uploaded', JSON.stringify(r))
  assert.equal(wx.stats.requests.filter(q => q === 'POST /v1/multipart').length, 1, 'the second attempt went on with the first')
  const [record] = await cloud.records(user)
  assert.deepEqual([record.id, record.size, record.name], [r.id, file.size, file.name])
  const { url } = await plain.call('POST', `/v1/uploads/${r.id}/url`, {})
  const stored = Buffer.from(await (await fetch(url)).arrayBuffer())
  assert.equal(hex(stored), hex(file.bytes), 'the bytes are the same')
})

test('content that the user has already is instant', async t => {
  const { uploader, user, wx } = setUp(t)
  const files = tempFiles(t, 3)
  await uploader.upload(pick(files)).done
  const again = await uploader.upload(pick(files)).done
  assert.deepEqual(again.map(r => [r.status, r.attempts]), Array(3).fill(['instant', 0]))
  assert.equal(wx.stats.uploads, 3)
  assert.equal((await cloud.records(user)).length, 6, 'a reference of its own for each')
})

test('an upload can be read by its link and deleted', async t => {
  const { uploader, user } = setUp(t)
  const [file] = tempFiles(t, 1)
  const [r] = await uploader.upload(pick([file])).done
  const { url } = await uploader.call('POST', `/v1/uploads/${r.id}/url`, { expiresIn: 60 })
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), file.bytes)
  await uploader.call('DELETE', '/v1/uploads/' + r.id)
  assert.deepEqual(await cloud.records(user), [])
  assert.equal((await fetch(url)).status, 404)
})

test('an aborted batch leaves no file half', async t => {
  const { uploader, user } = setUp(t, { concurrency: 2 })
  const files = tempFiles(t, 10, 200000)
  let stored = 0
  const batch = uploader.upload(pick(files), { onFile: (i, s) => s.status === 'uploaded' && ++stored === 3 && batch.abort() })
  const results = await batch.done
  const kept = results.filter(r => r.status === 'uploaded')
  const records = await cloud.records(user)
  kept.forEach(r => assert.ok(records.some(record => record.id === r.id)))
  records.forEach(r => assert.equal(r.size, 200000))
})

test('10 % failing uploads, 10 % lost callbacks and a token that expires midway: all arrive, in order, once', async t => {
  let token = 1
  let valid = 1
  const wx = nodeWx()
  // The signer of dev mode takes any user, so the token is refused on the way, as a gateway would.
  const request = wx.request
  wx.request = o => {
    const bearer = /dev:(\S+)\.(\d+)$/.exec(o.header.authorization)
    if (+bearer[2] !== valid) {
      setImmediate(() => o.success({ statusCode: 401, data: '{"status":401,"code":"token_expired","detail":"expired"}', header: {} }))
      return { abort() {} }
    }
    return request({ ...o, header: { ...o.header, authorization: 'Bearer dev:' + bearer[1] } })
  }
  const user = 'storm'
  const events = []
  let renewals = 0
  t.after(async () => {
    wx.close()
    await cloud.faults()
  })
  await cloud.faults({ seed: 3, errorRate: 0.1, errorCode: 'ServiceUnavailable', operations: ['PostObject'], callbackDrop: 0.1 })
  const uploader = createUploader({
    endpoint: cloud.url, wx, concurrency: 5, retry: { baseMs: 2, capMs: 20, attempts: 6 }, onEvent: e => events.push(e),
    getToken: refresh => {
      if (refresh) {
        renewals++
        token = valid
      }
      return `dev:${user}.${token}`
    },
  })
  const files = tempFiles(t, 200, i => 2000 + i)
  const results = await uploader.upload(pick(files), { onFile: (i, s) => i === 100 && s.status === 'uploading' && valid === 1 && (valid = 2) }).done
  await holds(user, files, results)
  assert.ok(events.some(e => e.type === 'retry'), 'uploads have failed')
  assert.ok(events.some(e => e.type === 'confirm'), 'callbacks were lost')
  assert.equal(renewals, 1)
})
