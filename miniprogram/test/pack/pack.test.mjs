// The package as a stranger gets it: packed, installed into empty projects, with the example of its README.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { launch, openPage } from '../support/chromium.mjs'
import { startFakeCloud } from '../support/fake-cloud.mjs'
import { tempFiles } from '../support/files.mjs'
import { nodeWx } from '../support/node-wx.mjs'
import { startRealCloud } from '../support/real-cloud.mjs'
import { serve } from '../support/serve.mjs'

const sdk = fileURLToPath(new URL('../../sdk/', import.meta.url))
const work = fileURLToPath(new URL('../../.build/pack/', import.meta.url))
const npm = (args, cwd) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/** The nth example of a README, with its endpoint replaced. */
function example(readme, n, endpoint) {
  const code = [...readFileSync(sdk + readme, 'utf8').matchAll(/```js\n([\s\S]*?)```/g)][n][1]
  assert.match(code, /https:\/\/upload\.example\.com\/family\/album/)
  return code.replace('https://upload.example.com/family/album', endpoint)
}

let tarball
let contents
before(() => {
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  const [packed] = JSON.parse(npm(['pack', '--json', '--pack-destination', work], sdk))
  tarball = path.join(work, packed.filename)
  contents = packed.files.map(f => f.path)
})

/** An empty project with the package and nothing else. */
function project(name, json = {}) {
  const folder = path.join(work, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name, private: true, ...json }))
  npm(['install', '--offline', '--no-audit', '--no-fund', tarball], folder)
  return folder
}

test('holds what it needs and nothing else, and runs nothing at install', () => {
  assert.ok(contents.every(f => /^(miniprogram_dist|dist|types)\/|^(README(\.zh-CN)?\.md|package\.json|LICENSE)$/.test(f)), contents.join('\n'))
  for (const file of ['miniprogram_dist/index.js', 'dist/index.js', 'types/wx/index.d.ts', 'types/browser/index.d.ts', 'README.zh-CN.md']) assert.ok(contents.includes(file), file)
  const { scripts, dependencies } = JSON.parse(readFileSync(sdk + 'package.json'))
  assert.deepEqual(Object.keys(scripts), ['build'])
  assert.equal(dependencies, undefined)
})

for (const readme of ['README.md', 'README.zh-CN.md']) {
  test(`the mini-program example of ${readme} works in an empty project`, async t => {
    const cloud = await startFakeCloud({ tokens: bearer => /^wx-code-/.test(bearer) })
    const folder = project('mini-' + readme)
    // What "Build npm" of WeChat DevTools does.
    const installed = path.join(folder, 'node_modules/@uploadtenant/uploader')
    const { miniprogram } = JSON.parse(readFileSync(path.join(installed, 'package.json')))
    cpSync(path.join(installed, miniprogram), path.join(folder, 'miniprogram_npm/@uploadtenant/uploader'), { recursive: true })
    rmSync(path.join(folder, 'node_modules'), { recursive: true })

    const files = tempFiles(t, 3)
    const wx = nodeWx()
    wx.chooseMedia = o => o.success({ tempFiles: files.map(f => ({ tempFilePath: f.path, size: f.size, fileType: 'image' })) })
    t.after(() => {
      wx.close()
      return cloud.close()
    })
    // require() of a mini-program looks into miniprogram_npm; everything else that Node has is kept away.
    const load = (file, exports = {}) => {
      const inside = id => load(id.startsWith('.') ? path.resolve(path.dirname(file), id + '.js') : path.join(folder, 'miniprogram_npm', id, id.split('/').length > 2 ? '../' + id.split('/').pop() + '.js' : 'index.js'))
      new Function('require', 'exports', 'module', 'wx', 'process', 'window', 'globalThis', readFileSync(file, 'utf8'))(inside, exports, { exports }, wx)
      return exports
    }
    writeFileSync(path.join(folder, 'page.js'), example(readme, 0, cloud.url))
    const seen = []
    const results = await load(path.join(folder, 'page.js')).addPhotos({ setData: d => seen.push(d.percent) })
    assert.deepEqual(results.map(r => r.status), ['uploaded', 'uploaded', 'uploaded'])
    results.forEach((r, i) => assert.deepEqual(cloud.objects.get(r.key).data, files[i].bytes))
    assert.equal(seen[seen.length - 1], 100)
  })
}

test('the web example works in a Vite project, in a real browser with real CORS', async t => {
  const folder = project('vite', { type: 'module' })
  // The origin has to be known before the tenant is.
  const pages = {}
  const site = await serve(pages)
  const cloud = await startRealCloud({ origins: [site.url] })
  const browser = await launch()
  t.after(async () => {
    await browser.close()
    await site.close()
    await cloud.close()
  })
  writeFileSync(path.join(folder, 'main.js'), example('README.md', 1, cloud.url))
  writeFileSync(path.join(folder, 'index.html'), '<!doctype html><input type="file" multiple><progress></progress><script type="module" src="/main.js"></script>')
  await build({ root: folder, logLevel: 'error', base: './', build: { outDir: 'out', rollupOptions: { output: { entryFileNames: 'main.js' } } } })
  Object.assign(pages, {
    '/': readFileSync(path.join(folder, 'out/index.html'), 'utf8'),
    '/main.js': { type: 'text/javascript', body: readFileSync(path.join(folder, 'out/main.js')) },
    '/api/upload-token': { type: 'text/plain', body: 'dev:vite' },
  })
  const { page } = await openPage(browser)
  const logged = []
  page.on('console', async m => logged.push(await Promise.all(m.args().map(a => a.jsonValue()))))
  await page.goto(site.url)
  await page.setInputFiles('input', [1, 2].map(n => ({ name: n + '.png', mimeType: 'image/png', buffer: Buffer.alloc(5000, n) })))
  await page.waitForFunction(() => document.querySelector('progress').value === 1)
  await assert.doesNotReject(async () => {
    while (!logged.flat(2).some(r => r && r.status)) await page.waitForTimeout(20)
  })
  assert.deepEqual(logged.flat(2).filter(r => r && r.status).map(r => [r.index, r.status]), [[0, 'uploaded'], [1, 'uploaded']])
  assert.equal((await cloud.records('vite')).length, 2)
})

test('its types are complete for TypeScript projects of both kinds', () => {
  for (const kind of ['wx', 'browser']) {
    const folder = project('types-' + kind)
    const tests = fileURLToPath(new URL('../types/', import.meta.url))
    for (const file of [`tsconfig.${kind}.json`, kind === 'wx' ? 'wx.ts' : 'browser.mts']) cpSync(tests + file, path.join(folder, file))
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, '-p', path.join(folder, `tsconfig.${kind}.json`)], { stdio: 'inherit' })
  }
})
