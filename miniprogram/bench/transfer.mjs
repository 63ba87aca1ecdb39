// 200 small files over a 3G-like link: the SDK, a bare parallel loop with the same concurrency, and the
// sequential loop that mini-programs are usually written with. All get their grants from the same signer in
// requests of 20, all send through the same Node wx.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nodeWx } from '../test/support/node-wx.mjs'
import { startRealCloud } from '../test/support/real-cloud.mjs'
import { openLink } from './link.mjs'

const { createUploader } = createRequire(import.meta.url)('../sdk/miniprogram_dist/index.js')

// Chrome's "3G" throttling.
const LINK = { rttMs: 560, upKbit: 675, downKbit: 1440 }
const FILES = 200
const CONCURRENCY = 5
const GROUP = 20

const request = (wx, o) => new Promise((success, fail) => wx.request({ ...o, success, fail }))

async function grants(wx, endpoint, user, files) {
  const { data } = await request(wx, {
    url: endpoint + '/v1/uploads', method: 'POST', header: { authorization: 'Bearer dev:' + user, 'content-type': 'application/json' },
    data: JSON.stringify({ files: files.map(({ name, size, md5 }) => ({ name, size, md5 })) }),
  })
  return data.uploads
}

const send = (wx, grant, file) => new Promise((resolve, reject) => wx.uploadFile({
  url: grant.url, filePath: file.path, name: grant.fileField, formData: grant.fields,
  success: ({ statusCode }) => (statusCode === 200 ? resolve() : reject(new Error('HTTP ' + statusCode))), fail: reject,
}))

async function sequential(wx, endpoint, user, files) {
  for (let at = 0; at < files.length; at += GROUP) {
    const group = files.slice(at, at + GROUP)
    const verdicts = await grants(wx, endpoint, user, group)
    for (let i = 0; i < group.length; i++) await send(wx, verdicts[i], group[i])
  }
}

async function bare(wx, endpoint, user, files) {
  // The best that a loop can do: the next grants are asked for while files travel.
  const groups = []
  const grantOf = i => (groups[Math.floor(i / GROUP)] ||= grants(wx, endpoint, user, files.slice(i - (i % GROUP), i - (i % GROUP) + GROUP)))
  let next = 0
  await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
    while (next < files.length) {
      const i = next++
      if (i + 2 * CONCURRENCY < files.length) grantOf(i + 2 * CONCURRENCY)
      await send(wx, (await grantOf(i))[i % GROUP], files[i])
    }
  }))
}

async function sdk(wx, endpoint, user, files) {
  const uploader = createUploader({ endpoint, wx, concurrency: CONCURRENCY, getToken: () => 'dev:' + user })
  // As an application that has uploaded before: the first request of all has told how many files fit.
  const results = await uploader.upload(files.map(({ path, name, size }) => ({ path, name, size }))).done
  const bad = results.find(r => r.status !== 'uploaded')
  if (bad) throw bad.error
}

export async function transfers({ figure }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-'))
  const files = Array.from({ length: FILES }, (_, i) => {
    const bytes = randomBytes(4000 + (i % 9) * 1000)
    const file = path.join(folder, i + '.jpg')
    writeFileSync(file, bytes)
    return { path: file, name: i + '.jpg', size: bytes.length, md5: createHash('md5').update(bytes).digest('hex') }
  })
  const cloud = await startRealCloud({ filesPerRequest: GROUP })
  const seconds = {}
  try {
    for (const [name, run] of Object.entries({ sdk, bare, sequential })) {
      const link = await openLink(LINK)
      const wx = nodeWx()
      // Grants name the bucket's own address; it lies behind the link as well.
      const oss = await link.to(cloud.ossUrl)
      const behind = call => o => call({ ...o, url: o.url.replace(cloud.ossUrl, oss) })
      const linked = { ...wx, uploadFile: behind(wx.uploadFile) }
      const began = performance.now()
      await run(linked, await link.to(cloud.url), 'bench-' + name, files)
      seconds[name] = (performance.now() - began) / 1000
      wx.close()
      link.close()
      const records = await cloud.records('bench-' + name)
      if (records.length !== FILES) throw new Error(`${name}: ${records.length} of ${FILES} files are recorded`)
      console.log(`${FILES} files of 4 to 12 kB, ${LINK.upKbit}/${LINK.downKbit} kbit/s, ${LINK.rttMs} ms: ${name.padEnd(10)} ${seconds[name].toFixed(1)} s`)
    }
  } finally {
    await cloud.close()
    rmSync(folder, { recursive: true, force: true })
  }
  figure('sdk_200_files_beside_bare', seconds.sdk, 's', seconds.bare)
  figure('sdk_200_files_sequential', seconds.sequential, 's', seconds.sdk)
}
