// The package as it is shipped, with a Node wx, against a signer and bucket that make trouble on demand.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { startFakeCloud } from '../support/fake-cloud.mjs'
import { tempFiles } from '../support/files.mjs'
import { nodeWx } from '../support/node-wx.mjs'

const require = createRequire(import.meta.url)
const { createUploader } = require('../../sdk/miniprogram_dist/index.js')
const { md5 } = require('../../sdk/miniprogram_dist/md5.js')
const { zh } = require('../../sdk/miniprogram_dist/messages.js')

const hex = data => createHash('md5').update(data).digest('hex')
const pick = files => files.map(({ path, name, size }) => ({ path, name, size }))

async function setUp(t, knobs, options = {}, wxOptions) {
  const cloud = await startFakeCloud(knobs)
  const wx = nodeWx(wxOptions)
  t.after(() => {
    wx.close()
    return cloud.close()
  })
  const events = []
  const uploader = createUploader({
    endpoint: cloud.url + '/', wx, getToken: () => 'token', retry: { baseMs: 1, capMs: 4 }, messages: zh,
    onEvent: e => events.push(e), ...options,
  })
  return { cloud, wx, uploader, events }
}

test('uploads a batch with one grant request and gives results in the order of the files', async t => {
  // Later files are faster, so that order of completion is not order of files.
  const { cloud, uploader } = await setUp(t, { slow: form => new Promise(r => setTimeout(r, form.file.length / 20)) })
  const files = tempFiles(t, 7, i => 1400 - i * 200)
  const results = await uploader.upload(pick(files)).done
  assert.deepEqual(results.map(r => r.status), Array(7).fill('uploaded'))
  assert.deepEqual(results.map(r => r.index), [0, 1, 2, 3, 4, 5, 6])
  assert.deepEqual(results.map(r => r.hash), files.map(f => hex(f.bytes)))
  results.forEach((r, i) => assert.deepEqual(cloud.objects.get(r.key).data, files[i].bytes))
  assert.equal(cloud.calls('/v1/uploads').length, 1)
  assert.equal(cloud.calls('/v1/uploads/complete').length, 0)
  assert.ok(results.every(r => r.confirmed && r.attempts === 1 && r.id && r.name))
})

test('sends the form as it was granted, the file last', async t => {
  const { cloud, uploader } = await setUp(t)
  await uploader.upload(pick(tempFiles(t, 1))).done
  const [{ form }] = cloud.calls('/bucket')
  assert.deepEqual(form.names, ['key', 'policy', 'x-oss-meta-ticket', 'x-oss-forbid-overwrite', 'success_action_status', 'file'])
})

test('splits the grant request when the signer takes fewer files, and remembers', async t => {
  const { cloud, uploader } = await setUp(t, { filesPerRequest: 20 })
  const results = await uploader.upload(pick(tempFiles(t, 70, 50))).done
  assert.ok(results.every(r => r.status === 'uploaded'))
  const sizes = cloud.calls('/v1/uploads').map(c => c.body.files.length)
  assert.equal(sizes[0], 70)
  assert.equal(cloud.verdicts.reduce((n, v) => n + v.length, 0), 70, 'no file was granted twice')
  cloud.log.length = 0
  await uploader.upload(pick(tempFiles(t, 30, 60))).done
  assert.ok(cloud.calls('/v1/uploads').every(c => c.body.files.length <= 20))
})

test('one bad file does not stop the others', async t => {
  const { uploader } = await setUp(t)
  const files = pick(tempFiles(t, 5))
  files[1] = { path: files[1].path, name: 'a.exe', type: 'application/x-msdownload', size: 1000 }
  files[3].size = 5 << 20
  const results = await uploader.upload(files).done
  assert.deepEqual(results.map(r => r.status), ['uploaded', 'failed', 'uploaded', 'failed', 'uploaded'])
  assert.equal(results[1].error.code, 'type')
  assert.equal(results[1].error.message, '不支持的文件类型')
  assert.equal(results[3].error.code, 'tooLarge')
  assert.equal(results[3].error.problem.code, 'file_too_large')
})

test('a file that vanished fails alone as unreadable', async t => {
  const { uploader, cloud } = await setUp(t)
  const files = tempFiles(t, 3)
  rmSync(files[1].path)
  const results = await uploader.upload(pick(files)).done
  assert.deepEqual(results.map(r => r.status), ['uploaded', 'failed', 'uploaded'])
  assert.equal(results[1].error.code, 'unreadable')
  assert.equal(cloud.calls('/v1/uploads').length, 1)
})

test('names are made up when empty and never the same', async t => {
  const { cloud, uploader } = await setUp(t)
  await uploader.upload(tempFiles(t, 3).map(({ path }) => ({ path }))).done
  const names = cloud.calls('/v1/uploads')[0].body.files.map(f => f.name)
  names.forEach(name => assert.match(name, /^\d{8}_\d{6}_\d+\.jpg$/))
  assert.equal(new Set(names).size, 3)
})

test('HTTP 203 is stored but not recorded: the signer is asked to complete', async t => {
  const { cloud, uploader } = await setUp(t, { dropCallback: () => true })
  const [result] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(result.status, 'uploaded')
  assert.equal(result.confirmed, true)
  assert.equal(cloud.calls('/v1/uploads/complete').length, 1)
  assert.equal(cloud.calls('/bucket').length, 1)
})

test('without a callback every upload is completed by the client', async t => {
  const { cloud, uploader } = await setUp(t, { callback: false })
  const results = await uploader.upload(pick(tempFiles(t, 3))).done
  assert.ok(results.every(r => r.status === 'uploaded' && r.confirmed))
  assert.equal(cloud.records.size, 3)
})

test('a stored upload counts as uploaded when the signer cannot be reached any more', async t => {
  const { uploader } = await setUp(t, {
    dropCallback: () => true,
    signer: (m, path) => path === '/v1/uploads/complete' ? { status: 503, body: {} } : undefined,
  })
  const [result] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(result.status, 'uploaded')
  assert.equal(result.confirmed, false)
})

test('a lost answer never stores a file twice', async t => {
  const { cloud, uploader } = await setUp(t, { dropAnswer: () => true })
  const results = await uploader.upload(pick(tempFiles(t, 3))).done
  assert.deepEqual(results.map(r => r.status), ['uploaded', 'uploaded', 'uploaded'])
  assert.equal(cloud.objects.size, 3)
})

test('an expired grant is replaced, not repeated', async t => {
  const refused = new Set()
  const { cloud, uploader, events } = await setUp(t, {
    ossError: grant => !refused.size && refused.add(grant.ticket) && [403, 'AccessDenied', '0006-00000213'],
  })
  const [result] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(result.status, 'uploaded')
  const tickets = cloud.calls('/bucket').map(c => c.form.fields['x-oss-meta-ticket'])
  assert.equal(tickets.length, 2)
  assert.notEqual(tickets[0], tickets[1])
  assert.deepEqual(events.filter(e => e.type === 'resign').map(e => [e.error.code, e.error.oss]), [
    ['expired', { code: 'AccessDenied', ec: '0006-00000213', requestId: '65F0AA' }],
  ])
})

test('other refusals of OSS are tried with one new grant and are then final', async t => {
  const { cloud, uploader } = await setUp(t, { ossError: () => [403, 'AccessDenied', '0003-00000001'] })
  const [result] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(result.status, 'failed')
  assert.equal(result.error.code, 'denied')
  assert.deepEqual(result.error.oss, { code: 'AccessDenied', ec: '0003-00000001', requestId: '65F0AA' })
  assert.equal(cloud.calls('/bucket').length, 2)
  const { cloud: c2, uploader: u2 } = await setUp(t, { ossError: () => [400, 'EntityTooLarge', '0006-00000003'] })
  const [big] = await u2.upload(pick(tempFiles(t, 1))).done
  assert.equal(big.error.code, 'tooLarge')
  assert.equal(c2.calls('/bucket').length, 1)
})

test('grants that run out while files wait are renewed before they are used', async t => {
  // Only uploads take time here, two seconds each, however fast this machine is.
  const { now } = Date
  t.after(() => (Date.now = now))
  let ms = now()
  Date.now = () => ms
  const { cloud, uploader } = await setUp(t, { ttl: 6, slow: () => { ms += 2000 } }, { concurrency: 1 })
  const results = await uploader.upload(pick(tempFiles(t, 8))).done
  assert.ok(results.every(r => r.status === 'uploaded' && r.attempts === 1), JSON.stringify(results))
  assert.ok(cloud.calls('/v1/uploads').length > 1)
  assert.equal(cloud.objects.size, 8)
})

for (const ttl of [0, 0.01, undefined]) {
  test(`a grant that lives for ${ttl} seconds is asked for once per attempt, not for ever`, async t => {
    const { cloud, uploader } = await setUp(t)
    cloud.knobs.ttl = 60
    const { signer } = cloud.knobs
    assert.equal(signer, undefined)
    const files = tempFiles(t, 2)
    const batch = uploader.upload(pick(files))
    // Only what the client is told differs; the grant itself holds.
    const stringify = JSON.stringify
    t.after(() => (JSON.stringify = stringify))
    JSON.stringify = value => stringify(value && value.uploads ? { uploads: value.uploads.map(u => ({ ...u, expiresIn: ttl })) } : value)
    const results = await batch.done
    assert.ok(results.every(r => r.status === 'uploaded'))
    assert.ok(cloud.calls('/v1/uploads').length <= 3)
  })
}

test('a mistake in a callback of the page stops no upload', async t => {
  const { uploader } = await setUp(t)
  const thrown = []
  const old = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', e => thrown.push(e.message))
  t.after(() => {
    process.removeAllListeners('uncaughtException')
    old.forEach(l => process.on('uncaughtException', l))
  })
  const oops = () => {
    throw new Error('setData of a page that is gone')
  }
  const results = await uploader.upload(pick(tempFiles(t, 3)), { onFile: oops, onProgress: oops }).done
  assert.ok(results.every(r => r.status === 'uploaded'))
  await new Promise(r => setTimeout(r, 20))
  assert.ok(thrown.length > 0, 'the mistake is told')
})

test('a device whose clock is wrong by a year uploads all the same', async t => {
  const { uploader, cloud } = await setUp(t, { ttl: 60 })
  const now = Date.now
  t.after(() => (Date.now = now))
  const real = now()
  // The server keeps its own time.
  const grants = cloud.knobs
  grants.ttl = 60 + 366 * 86400
  Date.now = () => now() - 366 * 86400e3 + (now() - real)
  const results = await uploader.upload(pick(tempFiles(t, 4))).done
  assert.ok(results.every(r => r.status === 'uploaded' && r.attempts === 1))
})

test('failures that may pass are tried again with full jitter, a limited number of times', async t => {
  const { cloud, uploader, events } = await setUp(t, { ossError: () => [503, 'ServiceUnavailable', ''] }, { retry: { attempts: 4, baseMs: 8, capMs: 20 } })
  const [result] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(result.status, 'failed')
  assert.equal(result.error.code, 'server')
  assert.equal(result.attempts, 4)
  assert.equal(cloud.calls('/bucket').length, 4)
  const waits = events.filter(e => e.type === 'retry').map(e => e.value)
  assert.equal(waits.length, 3)
  waits.forEach((ms, i) => assert.ok(ms >= 0 && ms <= Math.min(20, 8 * 2 ** (i + 1)), `wait ${i}: ${ms}`))
})

test('a refused token is renewed once for all, then the error is told', async t => {
  let current = 'old'
  const asked = []
  const getToken = refresh => {
    asked.push(refresh)
    if (refresh) current = 'new'
    return current
  }
  const { uploader, cloud } = await setUp(t, { tokens: bearer => bearer === 'new', callback: false }, { getToken, concurrency: 5 })
  const results = await uploader.upload(pick(tempFiles(t, 5))).done
  assert.ok(results.every(r => r.status === 'uploaded'))
  assert.deepEqual(asked, [false, true])
  cloud.knobs.tokens = () => false
  const [failed] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(failed.error.code, 'auth')
  assert.equal(failed.error.message, '登录已失效，请重新登录')
})

test('a token that dies in the middle of a batch is renewed for all who hold it at once', async t => {
  let valid = 't1'
  let issued = 1
  const { uploader, cloud } = await setUp(t, { callback: false, tokens: b => b === valid }, {
    concurrency: 6, getToken: refresh => (refresh ? (valid = 't' + ++issued) : valid),
  })
  const batch = uploader.upload(pick(tempFiles(t, 24)), { onFile: (i, s) => { if (i === 10 && s.status === 'uploading') valid = 't' + issued + 'x' } })
  const results = await batch.done
  assert.ok(results.every(r => r.status === 'uploaded' && r.confirmed), JSON.stringify(results.find(r => r.status !== 'uploaded')))
  assert.equal(cloud.records.size, 24)
})

test('without getToken wx.login is traded for a token', async t => {
  const { uploader, wx, cloud } = await setUp(t, { tokens: b => /^wx-code-/.test(b) }, { getToken: undefined })
  const results = await uploader.upload(pick(tempFiles(t, 4))).done
  assert.ok(results.every(r => r.status === 'uploaded'))
  assert.equal(wx.stats.logins, 1)
  assert.equal(cloud.calls('/v1/sessions/wechat').length, 1)
})

test('never more files in flight than the concurrency, over all batches', async t => {
  for (const [given, want] of [[1, 1], [4, 4], [99, 10]]) {
    const { uploader, wx } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 5)) }, { concurrency: given, hash: 'off' }, {})
    await Promise.all([uploader.upload(pick(tempFiles(t, 15))).done, uploader.upload(pick(tempFiles(t, 15))).done])
    assert.ok(wx.stats.maxInFlight <= want + 1, `${wx.stats.maxInFlight} in flight, ${want} wanted`) // + 1: a grant request
  }
})

test('known content is instant, no byte travels', async t => {
  const { uploader, cloud } = await setUp(t, { dedupe: 'user' })
  const files = tempFiles(t, 3)
  const first = await uploader.upload(pick(files)).done
  const second = await uploader.upload(pick(files)).done
  assert.deepEqual(second.map(r => [r.status, r.attempts, r.key]), first.map(r => ['instant', 0, r.key]))
  assert.equal(cloud.calls('/bucket').length, 3)
})

test('a challenge is answered with the digest of the ranges', async t => {
  const { uploader, cloud } = await setUp(t, { dedupe: 'tenant' })
  const files = tempFiles(t, 2, 5000)
  await uploader.upload(pick(files)).done
  const again = await uploader.upload(pick(files)).done
  assert.deepEqual(again.map(r => r.status), ['instant', 'instant'])
  assert.equal(cloud.calls('/bucket').length, 2)
})

test('hash off sends no hash', async t => {
  const { uploader, cloud } = await setUp(t, {}, { hash: 'off' })
  const [r] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(r.hash, undefined)
  assert.equal(cloud.calls('/v1/uploads')[0].body.files[0].md5, undefined)
})

test('md5 in script takes over when the platform has none', async t => {
  const { uploader, cloud } = await setUp(t, { maxSize: 10 << 20 }, { md5 }, { noDigest: true })
  const files = tempFiles(t, 2, i => i ? 3 : (2 << 20) + 77)
  const results = await uploader.upload(pick(files)).done
  assert.deepEqual(results.map(r => r.hash), files.map(f => hex(f.bytes)))
  assert.equal(cloud.calls('/v1/uploads')[0].body.files[0].md5, hex(files[0].bytes))
})

test('progress reaches 100 only at the end and counts bytes once', async t => {
  const { uploader } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 120)) })
  const seen = []
  const files = tempFiles(t, 4, 300000)
  await uploader.upload(pick(files), { onProgress: p => seen.push(p) }).done
  const last = seen[seen.length - 1]
  assert.equal(last.percent, 100)
  assert.equal(last.loaded, 1200000)
  assert.deepEqual(last.perFile.map(f => [f.status, f.percent]), Array(4).fill(['uploaded', 100]))
  assert.ok(seen.length > 2)
  seen.slice(0, -1).forEach(p => assert.ok(p.percent < 100 && p.loaded <= p.total && p.total === 1200000))
  assert.ok(seen.some(p => p.speedBps > 0 && p.etaMs >= 0), 'speed and time left are told')
})

test('pause stops transfers, resume sends every file once', async t => {
  const { uploader, cloud, wx } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 30)) })
  const files = tempFiles(t, 8)
  let ended = 0
  let batch
  const begun = await new Promise(resolve => {
    batch = uploader.upload(pick(files), { onFile: (i, s) => {
      if (s.status === 'uploaded' && ++ended === 3) {
        batch.pause()
        resolve(wx.stats.uploads)
      }
    } })
  })
  await new Promise(r => setTimeout(r, 100))
  assert.equal(ended, 3)
  assert.equal(wx.stats.uploads, begun, 'nothing starts while paused')
  batch.resume()
  const results = await batch.done
  assert.ok(results.every(r => r.status === 'uploaded'))
  assert.equal(cloud.objects.size, 8, 'no duplicate')
})

test('abortFile and abort end files as aborted and leave the others', async t => {
  const { uploader, cloud } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 20)) }, { concurrency: 1 })
  const batch = uploader.upload(pick(tempFiles(t, 6)), {
    onFile: (i, s) => {
      if (i === 0 && s.status === 'uploading') batch.abortFile(1)
      if (i === 2 && s.status === 'uploaded') batch.abort()
    },
  })
  batch.abortFile(5)
  const results = await batch.done
  assert.equal(results[0].status, 'uploaded')
  assert.equal(results[1].status, 'aborted')
  assert.equal(results[1].error.code, 'aborted')
  assert.equal(results[5].status, 'aborted')
  assert.ok(cloud.objects.size < 6)
})

test('an AbortSignal aborts', async t => {
  const { uploader } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 50)) })
  const control = new AbortController()
  const batch = uploader.upload(pick(tempFiles(t, 3)), { signal: control.signal })
  setTimeout(() => control.abort(), 10)
  assert.deepEqual((await batch.done).map(r => r.status), ['aborted', 'aborted', 'aborted'])
  const early = await uploader.upload(pick(tempFiles(t, 1)), { signal: control.signal }).done
  assert.equal(early[0].status, 'aborted')
})

test('retryFailed uploads what failed and keeps the order', async t => {
  let broken = true
  const { uploader, cloud } = await setUp(t, { ossError: () => (broken ? [500, 'InternalError', ''] : undefined) }, { retry: { attempts: 1 } })
  const batch = uploader.upload(pick(tempFiles(t, 4)))
  assert.deepEqual((await batch.done).map(r => r.status), Array(4).fill('failed'))
  broken = false
  const results = await batch.retryFailed()
  assert.deepEqual(results.map(r => [r.index, r.status]), [[0, 'uploaded'], [1, 'uploaded'], [2, 'uploaded'], [3, 'uploaded']])
  assert.equal(cloud.objects.size, 4)
  assert.equal(await batch.done, results)
})

test('without a network the queue waits and costs no attempt', async t => {
  let noticed
  const offline = new Promise(resolve => (noticed = resolve))
  const { uploader, wx } = await setUp(t, { slow: () => new Promise(r => setTimeout(r, 20)) }, {
    retry: { attempts: 2, baseMs: 1 }, onEvent: e => e.type === 'offline' && noticed(),
  })
  const batch = uploader.upload(pick(tempFiles(t, 6)), { onFile: (i, s) => i === 2 && s.status === 'uploaded' && wx.setOnline(false) })
  await offline
  wx.setOnline(true)
  const results = await batch.done
  assert.deepEqual(results.map(r => r.status), Array(6).fill('uploaded'))
  assert.equal(wx.listeners.length, 0, 'nobody listens any more')
})

test('a wait that the signer asks for is kept, one of an hour is not waited for', async t => {
  let answers = 0
  const { uploader, events } = await setUp(t, {
    signer: (m, path) => path === '/v1/uploads' && ++answers === 1 ? { status: 429, body: { code: 'rate_limited', status: 429 }, headers: { 'retry-after': '1' } } : undefined,
  })
  const [r] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(r.status, 'uploaded')
  assert.equal(events.find(e => e.type === 'retry').value, 1000)
  const { uploader: second, cloud } = await setUp(t, {
    signer: (m, path) => path === '/v1/uploads' ? { status: 429, body: { code: 'quota_exceeded', status: 429 }, headers: { 'retry-after': '3600' } } : undefined,
  })
  const [q] = await second.upload(pick(tempFiles(t, 1))).done
  assert.equal(q.error.code, 'quota')
  assert.equal(cloud.calls('/v1/uploads').length, 1)
})

test('a host that is not on the domain list is told as such', async t => {
  const { uploader, wx } = await setUp(t)
  wx.uploadFile = o => {
    setImmediate(() => o.fail({ errMsg: 'uploadFile:fail url not in domain list' }))
    return { abort() {}, onProgressUpdate() {} }
  }
  const [r] = await uploader.upload(pick(tempFiles(t, 1))).done
  assert.equal(r.error.code, 'domain')
  assert.equal(r.attempts, 1)
})

test('an empty batch ends at once', async t => {
  const { uploader } = await setUp(t)
  assert.deepEqual(await uploader.upload([]).done, [])
})

test('nothing secret is in events and errors', async t => {
  const { uploader, events } = await setUp(t, { ossError: () => [403, 'AccessDenied', '0003-00000001'] }, { getToken: () => 'SECRET-TOKEN' })
  const results = await uploader.upload(pick(tempFiles(t, 2))).done
  const text = JSON.stringify([events, results, results.map(r => [r.error.message, r.error.detail])])
  assert.doesNotMatch(text, /SECRET-TOKEN|t-[0-9a-f]{8}-|cG9saWN5/)
})

test('call reads and deletes as the user and rejects with an UploadError', async t => {
  const { uploader } = await setUp(t)
  await uploader.upload(pick(tempFiles(t, 2))).done
  assert.equal((await uploader.call('GET', '/v1/uploads')).items.length, 2)
  await assert.rejects(uploader.call('GET', '/nowhere'), e => e.status === 404 && e.problem.code === 'not_found')
})
