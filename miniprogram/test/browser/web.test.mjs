// A person with the web page in Chromium. The bucket's and the signer's CORS are real: the page has an origin of
// its own that the tenant allows.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { serveWeb } from '../../web/build.mjs'
import { launch, openPage, PATIENCE, shoot } from '../support/chromium.mjs'
import { startRealCloud } from '../support/real-cloud.mjs'
import { holdUploads, letGo } from './hold.mjs'

let cloud
let site
let stranger
let browser
before(async () => {
  site = await serveWeb()
  stranger = await serveWeb()
  cloud = await startRealCloud({ origins: [site.url], maxSize: '64Mi' })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await site?.close()
  await stranger?.close()
  await cloud?.close()
})

let users = 0

/** hold is how many uploads may arrive before letGo(); without it all do. */
async function open(t, { from = site, language = 'zh-CN', query = '', hold } = {}) {
  const user = 'web' + ++users
  const { context, page } = await openPage(browser, { viewport: { width: 900, height: 820 }, locale: language })
  if (hold) await holdUploads(page, hold)
  const errors = []
  page.on('pageerror', e => errors.push(e.message))
  const url = `${from.url}/?endpoint=${encodeURIComponent(cloud.url)}&user=${user}${query}`
  await page.goto(url)
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [])
  })
  return { page, context, user, url }
}

const states = page => page.locator('.item').evaluateAll(rows => rows.map(row => row.className.replace('item item--', '')))
const finished = page => page.waitForFunction(() => document.querySelector('#percent').textContent === '100%')

/** Drops files on the page as a hand does. */
const drop = (page, files) => page.evaluate(files => {
  const data = new DataTransfer()
  for (const { name, type, size, fill } of files) data.items.add(new File([new Uint8Array(size).fill(fill)], name, { type, lastModified: 1700000000000 }))
  for (const type of ['dragenter', 'dragover', 'drop']) document.querySelector('#drop').dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }))
}, files)
const jpg = (n, size = 200000) => ({ name: `旅行 ${n}.jpg`, type: 'image/jpeg', size, fill: n })

test('files that are dropped arrive through real CORS', async t => {
  const { page, user } = await open(t)
  await shoot(page, 'web-1-empty')
  await drop(page, [1, 2, 3, 4].map(n => jpg(n)))
  await finished(page)
  assert.deepEqual(await states(page), Array(4).fill('uploaded'))
  const records = await cloud.records(user)
  assert.deepEqual(records.map(r => r.name).sort(), ['旅行 1.jpg', '旅行 2.jpg', '旅行 3.jpg', '旅行 4.jpg'])
  assert.ok(records.every(r => r.md5 && r.size === 200000))
  await shoot(page, 'web-2-done')
})

test('an origin that the tenant does not name gets nowhere', async t => {
  const { page, user } = await open(t, { from: stranger })
  await drop(page, [jpg(1)])
  await page.locator('.item--failed').waitFor()
  assert.equal((await cloud.records(user)).length, 0)
})

test('choosing by click, pause and resume, a wrong type, an outage', async t => {
  const { page, context, user } = await open(t, { hold: 1 })
  await page.setInputFiles('#files', [1, 2, 3, 4, 5, 6].map(n => ({ name: `a${n}.jpg`, mimeType: 'image/jpeg', buffer: Buffer.alloc(150000, n) })).concat([{ name: 'setup.exe', mimeType: 'application/x-msdownload', buffer: Buffer.alloc(100) }]))
  await page.locator('.item--uploaded').first().waitFor()
  await page.click('#pause')
  await page.locator('.item--paused').first().waitFor()
  await shoot(page, 'web-3-paused')
  await page.click('#pause')
  await context.setOffline(true)
  await page.waitForFunction(() => /网络已断开/.test(document.querySelector('#line').textContent))
  // What was about to be sent meets no network.
  await letGo(page)
  await shoot(page, 'web-4-offline')
  await context.setOffline(false)
  await finished(page)
  assert.deepEqual((await states(page)).sort(), ['failed', ...Array(6).fill('uploaded')])
  assert.match(await page.locator('.item--failed .item__state').textContent(), /不支持的文件类型/)
  assert.equal((await cloud.records(user)).length, 6)
  await shoot(page, 'web-5-one-refused')
})

test('a large file goes on after a reload where it stopped', async t => {
  const { page, user, url } = await open(t, { query: '&multipartFrom=1000000', hold: 4 })
  const film = { name: '生日.mp4', type: 'video/mp4', size: 50 << 20, fill: 7 }
  const parts = async () => (await cloud.requests()).items.filter(r => r.operation === 'UploadPart' && r.status === 200 && r.key.includes(user)).length

  await drop(page, [film])
  for (const end = Date.now() + PATIENCE; (await parts()) < 4;) {
    assert.ok(Date.now() < end, `${await parts()} parts have arrived`)
    await page.waitForTimeout(50)
  }
  await page.waitForFunction(() => /6\d%/.test(document.querySelector('.item__state').textContent))
  await page.reload()
  assert.equal(page.url(), url)

  await drop(page, [film])
  await page.locator('.item--uploading').waitFor()
  await shoot(page, 'web-6-large')
  assert.equal(await parts(), 4)
  await letGo(page)
  await finished(page)
  assert.deepEqual(await states(page), ['uploaded'])
  assert.equal(await parts(), 7, 'none was sent again')
  const [record, ...others] = await cloud.records(user)
  assert.equal(others.length, 0)
  assert.deepEqual([record.name, record.size], ['生日.mp4', film.size])
  const begun = (await cloud.requests()).items.filter(r => r.operation === 'InitiateMultipartUpload' && r.key.includes(user))
  assert.equal(begun.length, 1, 'the upload was not begun again')
})
