// A person with the album page: the page of the example, unmodified, in Chromium, against signer and OSS.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, openPage, shoot } from '../support/chromium.mjs'
import { startRealCloud } from '../support/real-cloud.mjs'
import { serve } from '../support/serve.mjs'
import { buildPage } from './build-page.mjs'
import { holdUploads, letGo } from './hold.mjs'
import { paint } from './photos.mjs'

let cloud
let site
let browser
before(async () => {
  cloud = await startRealCloud({ maxSize: '2Mi' })
  site = await serve({ '/': await buildPage('pages/album/index', { overrides: { endpoint: cloud.url, concurrency: 3, pickCount: 20 } }) })
  // A mini-program is no web page: nothing asks for CORS there.
  browser = await launch({ args: ['--disable-web-security'] })
})
after(async () => {
  await browser?.close()
  await site?.close()
  await cloud?.close()
})

let users = 0

/** hold is how many uploads may arrive before letGo(); without it all do. */
async function open(t, { dark = false, language = 'zh_CN', hold } = {}) {
  const user = 'person' + ++users
  const { context, page } = await openPage(browser, { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: dark ? 'dark' : 'light' })
  if (hold) await holdUploads(page, hold)
  const errors = []
  page.on('pageerror', e => errors.push(e.message))
  page.on('console', m => m.type() === 'error' && !/Failed to load resource|ERR_INTERNET/.test(m.text()) && errors.push(m.text()))
  await page.addInitScript(([user, language]) => {
    window.__language = language
    window.__config = { getToken: eval(`() => 'dev:${user}'`) }
  }, [user, language])
  await page.goto(site.url)
  t.after(async () => {
    await cloud.faults()
    await context.close()
    assert.deepEqual(errors, [])
  })
  return { page, context, user }
}

const statuses = page => page.evaluate(() => window.__page.data.tiles.map(tile => tile.status))
const until = (page, fn, arg) => page.waitForFunction(fn, arg)
/** Waits until so many elements are there. */
const count = (page, selector, n) => until(page, ([selector, n]) => document.querySelectorAll(selector).length === n, [selector, n])
/** Waits until the text of an element is this. */
const reads = (page, selector, text) => until(page, ([selector, text]) => document.querySelector(selector)?.textContent === text, [selector, text])
/** Waits until nothing moves any more. */
const settled = page => page.evaluate(() => Promise.allSettled(document.getAnimations().map(a => a.finished)))
const pick = async (page, selector) => {
  await page.tap(selector)
  await page.locator('.wx-dialog-item').first().click()
}

/** The name of the picture at each place of the grid, as a person sees it. */
const seen = page => page.evaluate(() => [...document.querySelectorAll('.cell')].filter(c => c.querySelector('.tile')).map(c => {
  const r = c.getBoundingClientRect()
  return { x: r.x, y: r.y, label: c.querySelector('[aria-label^="第"],[aria-label^="Item"]').getAttribute('aria-label') }
}).sort((a, b) => Math.round((a.y - b.y) / 20) || a.x - b.x).map(c => c.label))

test('nine photos, one too large, one of a wrong type, the network gone in between: all good ones arrive', async t => {
  const { page, context, user } = await open(t, { hold: 2 })
  await shoot(page, '1-empty')
  await paint(page, 7, { tooLarge: true, wrongType: true })
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.tiles.filter(tile => tile.status === 'uploaded').length === 2)
  await shoot(page, '2-uploading')

  await context.setOffline(true)
  await until(page, () => /网络已断开/.test(window.__page.data.bar.line))
  // What was about to be sent meets no network.
  await letGo(page)
  await shoot(page, '3-offline')
  assert.equal((await statuses(page)).filter(s => s === 'uploaded').length, 2, 'the network was lost in the middle')

  await context.setOffline(false)
  await until(page, () => window.__page.data.bar.state === 'done')
  assert.deepEqual(await statuses(page), ['uploaded', 'uploaded', 'uploaded', 'uploaded', 'failed', 'uploaded', 'uploaded', 'failed', 'uploaded'])
  const reasons = await page.locator('.tile__reason').allTextContents()
  assert.deepEqual(reasons, ['文件太大', '不支持的文件类型'])
  assert.equal(await page.locator('.bar__line').textContent(), '2 项未上传')
  assert.equal(await page.locator('.tile__retry').count(), 0, 'no button that cannot help')
  await shoot(page, '4-two-refused')
  assert.equal((await cloud.records(user)).length, 7, 'no photo is stored twice')

  // Removing the two leaves a finished album.
  await page.locator('.tile--failed .tile__remove').first().tap()
  await count(page, '.tile', 8)
  await page.locator('.tile--failed .tile__remove').first().tap()
  await count(page, '.tile', 7)
  await reads(page, '.bar__line', '全部上传完成')
  await page.tap('.bar__action')
  await until(page, () => window.__page.results)
  const results = await page.evaluate(() => window.__page.results)
  assert.deepEqual(results.map(r => r.status), Array(7).fill('uploaded'))
  await shoot(page, '5-done')
})

test('a failed photo is retried by its button, all failed ones by the bar', async t => {
  const { page, user } = await open(t)
  await cloud.faults({ seed: 1, errorRate: 1, errorCode: 'AccessDenied', operations: ['PostObject'] })
  await paint(page, 4)
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.bar.state === 'failed')
  assert.deepEqual(await statuses(page), Array(4).fill('failed'))
  await shoot(page, '6-failed')
  await cloud.faults()
  await page.locator('.tile__retry').nth(1).tap()
  await until(page, () => window.__page.data.tiles[1].status === 'uploaded')
  assert.deepEqual(await statuses(page), ['failed', 'uploaded', 'failed', 'failed'])
  await page.tap('.bar__action')
  await until(page, () => window.__page.data.bar.state === 'done')
  assert.equal((await cloud.records(user)).length, 4)
})

test('pause stops, resume goes on, a waiting photo can be cancelled', async t => {
  const { page, user } = await open(t, { hold: 1 })
  await paint(page, 8)
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.tiles.some(tile => tile.status === 'uploaded'))
  await page.tap('.bar__action')
  await until(page, () => window.__page.data.bar.state === 'paused')
  const before = await statuses(page)
  await letGo(page)
  await page.waitForTimeout(600)
  assert.deepEqual(await statuses(page), before, 'nothing moves while paused')
  await shoot(page, '7-paused')
  await page.locator('.tile--paused .tile__remove').last().tap()
  await count(page, '.tile', 7)
  await page.tap('.bar__action')
  await until(page, () => window.__page.data.bar.state === 'done')
  assert.equal((await cloud.records(user)).length, 7)
})

test('holding a photo and moving it changes the order, and the result follows', async t => {
  const { page } = await open(t)
  await paint(page, 6)
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.bar.state === 'done')
  await settled(page)
  const first = await seen(page)
  const from = await page.locator('.cell').nth(0).boundingBox()
  const to = await page.locator('.cell').nth(4).boundingBox()
  const centre = box => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 })
  const touch = await page.context().newCDPSession(page)
  const send = (type, at) => touch.send('Input.dispatchTouchEvent', { type, touchPoints: at ? [at] : [] })
  const [a, b] = [centre(from), centre(to)]
  await send('touchStart', a)
  await until(page, () => window.__page.data.lifted)
  for (let i = 1; i <= 10; i++) await send('touchMove', { x: a.x + ((b.x - a.x) * i) / 10, y: a.y + ((b.y - a.y) * i) / 10 })
  await settled(page)
  await shoot(page, '8-dragging')
  await send('touchEnd')
  await until(page, () => !window.__page.data.lifted)
  await settled(page)
  const moved = await seen(page)
  const names = labels => labels.map(l => l.split('，')[1])
  const [n0, n1, n2, n3, n4, n5] = names(first)
  assert.deepEqual(names(moved), [n1, n2, n3, n4, n0, n5])
  assert.ok(moved[0].startsWith('第 1 项'), 'the place is read aloud as it is now')
  await page.tap('.bar__action')
  await until(page, () => window.__page.results)
  assert.deepEqual(await page.evaluate(() => window.__page.results.map(r => r.index)), [1, 2, 3, 4, 0, 5])
})

test('a photo that is there already is instant', async t => {
  const { page, user } = await open(t)
  await paint(page, 3)
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.bar.state === 'done')
  // The same three again, and a new one.
  await paint(page, 4)
  await pick(page, '.add')
  await until(page, () => window.__page.data.tiles.length === 7 && window.__page.data.bar.state === 'done')
  assert.deepEqual((await statuses(page)).slice(3), ['instant', 'instant', 'instant', 'uploaded'])
  assert.deepEqual(await page.locator('.tile__badge--instant').allTextContents(), ['秒传', '秒传', '秒传'])
  assert.equal((await cloud.records(user)).length, 7)
  await shoot(page, '9-instant')
})

test('large picture: swipe, move without dragging, delete', async t => {
  const { page, user } = await open(t, { dark: true })
  await paint(page, 5)
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.bar.state === 'done')
  await shoot(page, '10-dark')
  await page.locator('.tile__open').nth(1).tap()
  await reads(page, '.viewer__count', '2 / 5')
  await shoot(page, '11-viewer')
  await page.locator('.viewer__action').nth(1).tap()
  await reads(page, '.viewer__count', '3 / 5')
  const touch = await page.context().newCDPSession(page)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x: 300, y: 350 }] })
  await touch.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [{ x: 120, y: 350 }] })
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
  await reads(page, '.viewer__count', '4 / 5')
  await page.locator('.viewer__action--bad').tap()
  await page.locator('.wx-dialog-item').first().click()
  await until(page, () => window.__page.data.tiles.length === 4)
  assert.equal((await cloud.records(user)).length, 4)
  assert.equal(await page.locator('.viewer').count(), 0)
})

test('speaks English where the device does, and every control has a name', async t => {
  const { page } = await open(t, { language: 'en' })
  await paint(page, 2, { tooLarge: true })
  await pick(page, '.empty__pick')
  await until(page, () => window.__page.data.bar.state === 'done')
  assert.equal(await page.locator('.tile__reason').textContent(), 'File is too large')
  await shoot(page, '12-english')
  const nameless = await page.evaluate(() => [...document.querySelectorAll('[aria-role=button]')].filter(e => !(e.getAttribute('aria-label') || e.textContent).trim()).length)
  assert.equal(nameless, 0)
})
