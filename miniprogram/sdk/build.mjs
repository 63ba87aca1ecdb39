// Builds miniprogram_dist (CommonJS, ES2017), dist (ES modules) and types.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const require = createRequire(import.meta.url)

// Entries of one output are separate files, yet hand each other objects: the short names of members that end
// in an underscore have to be the same in all of them.
let mangleCache = {}

function bundle(entry) {
  const out = buildSync({
    absWorkingDir: here, entryPoints: [entry], bundle: true, write: false, format: 'esm', target: 'es2017',
    minify: true, charset: 'utf8', mangleProps: /_$/, mangleCache, legalComments: 'none',
  })
  mangleCache = out.mangleCache
  return out.outputFiles[0].text
}

/** Turns the only statement that differs, so that no helper of the bundler is needed. */
function commonjs(esm) {
  return '"use strict";' + esm.replace(/export\{([^}]*)\};\s*$/, (_, list) =>
    list.split(',').map(pair => pair.split(' as ')).map(([local, name]) => `exports.${name || local}=${local};`).join('') + '\n')
}

const outputs = {
  miniprogram_dist: [commonjs, { index: 'src/wx/index.ts', multipart: 'src/wx/multipart.ts', pickers: 'src/wx/pickers.ts' }],
  dist: [esm => esm, { index: 'src/browser/index.ts', multipart: 'src/browser/multipart.ts', compress: 'src/browser/compress.ts' }],
}
const both = { md5: 'src/md5.ts', messages: 'src/messages.ts' }

for (const [folder, [form, entries]] of Object.entries(outputs)) {
  rmSync(here + folder, { recursive: true, force: true })
  mkdirSync(here + folder)
  for (const [name, entry] of Object.entries({ ...entries, ...both })) {
    const text = form(bundle(entry))
    if (folder === 'miniprogram_dist' && /\bexport\b|\bimport\b/.test(text)) throw new Error(`${entry}: not CommonJS`)
    writeFileSync(`${here}${folder}/${name}.js`, text)
  }
}

rmSync(here + 'types', { recursive: true, force: true })
execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', here], { stdio: 'inherit' })
// The package says type: nothing, so the ES modules have to say what they are.
writeFileSync(here + 'dist/package.json', '{"type":"module"}\n')

for (const folder of Object.keys(outputs)) {
  for (const name of Object.keys({ ...outputs[folder][1], ...both })) {
    console.log(`${folder}/${name}.js`.padEnd(32), readFileSync(`${here}${folder}/${name}.js`).length)
  }
}
