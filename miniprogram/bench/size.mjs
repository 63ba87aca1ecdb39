// How many bytes a mini-program carries, minified, as WeChat counts them; beside the usual SDKs.
import { statSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { buildSync } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const dist = here + '../sdk/miniprogram_dist/'

const minified = entry => buildSync({
  entryPoints: [entry], bundle: true, minify: true, write: false, format: 'esm', target: 'es2017', charset: 'utf8', mangleProps: /_$/, logLevel: 'error',
}).outputFiles[0].contents

export function sizes({ figure }) {
  const core = minified(here + '../sdk/src/core/uploader.ts')
  const files = ['index', 'md5', 'multipart', 'pickers', 'messages'].map(name => readFileSync(`${dist}${name}.js`))
  const [index, md5] = files
  const all = Buffer.concat(files)
  const cos = readFileSync(here + 'node_modules/cos-wx-sdk-v5/dist/cos-wx-sdk-v5.min.js')
  const oss = readFileSync(here + 'node_modules/ali-oss/dist/aliyun-oss-sdk.min.js')

  const rows = [
    ['core, without a platform', core],
    ['mini-program entry: core, wx, login', index],
    ['  with md5 in script', Buffer.concat([index, md5])],
    ['  with multipart, pickers, messages too', all],
    ['web entry', readFileSync(here + '../sdk/dist/index.js')],
    ['cos-wx-sdk-v5 1.8.0', cos],
    ['ali-oss 6.23.0 (does not run in WeChat)', oss],
  ]
  console.log(`${'minified'.padEnd(44)}${'bytes'.padStart(9)}${'gzip'.padStart(9)}   share of a 2 MB package`)
  for (const [name, data] of rows) {
    console.log(`${name.padEnd(44)}${String(data.length).padStart(9)}${String(gzipSync(data, { level: 9 }).length).padStart(9)}   ${((data.length / (2 << 20)) * 100).toFixed(2)} %`)
  }
  figure('sdk_core_size', core.length, 'bytes', cos.length)
  figure('sdk_entry_size', index.length, 'bytes', cos.length)
  figure('sdk_with_md5_size', index.length + md5.length, 'bytes', cos.length)
  figure('sdk_all_entries_size', all.length, 'bytes', cos.length)
  const { dependencies = {} } = JSON.parse(readFileSync(here + '../sdk/package.json'))
  if (Object.keys(dependencies).length || statSync(dist).isDirectory() === false) throw new Error('the package has runtime dependencies')
}
