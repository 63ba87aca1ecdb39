// Builds a page of the example, unmodified, into one HTML document that real browsers run: WXML is compiled by
// WeChat's own template compiler, components run on WeChat's own framework (glass-easel).
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { TmplGroup } from 'glass-easel-template-compiler'

const here = fileURLToPath(new URL('.', import.meta.url))
const example = path.join(here, '../../example')
const sdk = path.join(here, '../../sdk/miniprogram_dist')

/** Page and components with all that they use. */
function graph(entry, found = []) {
  if (found.includes(entry)) return found
  found.push(entry)
  const config = JSON.parse(readFileSync(path.join(example, entry + '.json')))
  Object.values(config.usingComponents || {}).forEach(used => graph(used.replace(/^\//, ''), found))
  return found
}

const rpx = css => css.replace(/(-?[\d.]+)rpx/g, (_, n) => `calc(100vw / 750 * ${n})`)
  // Nested calc() is plain CSS, but calc(100vw / 750 * -9) inside translate() is, too.
  .replace(/(^|\})\s*page(\s*\{|\s*,)/g, '$1\nbody$2')
  .replace(/\n\s+page \{/g, '\n  body {')

export async function buildPage(entry, { overrides = {} } = {}) {
  const paths = graph(entry)
  const group = new TmplGroup()
  for (const p of paths) {
    const problems = group.addTmpl(p, readFileSync(path.join(example, p + '.wxml'), 'utf8')).filter(w => w.isError || w.level >= 3)
    if (problems.length) throw new Error(`${p}.wxml: ${JSON.stringify(problems)}`)
  }
  const templates = group.getTmplGenObjectGroups()
  group.free()

  const code = `
    import { start } from ${JSON.stringify(path.join(here, 'runtime.mjs'))}
    start({
      page: ${JSON.stringify(entry)},
      templates: ${templates},
      configs: {${paths.map(p => `${JSON.stringify(p)}: ${readFileSync(path.join(example, p + '.json'), 'utf8')}`).join(',')}},
      scripts: {${paths.map(p => `${JSON.stringify(p)}: () => require(${JSON.stringify(path.join(example, p + '.js'))})`).join(',')}},
    })`
  const out = await build({
    stdin: { contents: code, resolveDir: here, loader: 'js' }, bundle: true, write: false, format: 'iife', target: 'es2020', charset: 'utf8',
    plugins: [{
      name: 'miniprogram_npm',
      setup(b) {
        b.onResolve({ filter: /^@uploadtenant\/uploader/ }, ({ path: p }) => ({ path: path.join(sdk, (p.split('/')[2] || 'index') + '.js') }))
        b.onResolve({ filter: /config$/ }, ({ path: p, importer }) => {
          if (path.resolve(path.dirname(importer), p + '.js') === path.join(example, 'config.js')) return { path: 'config', namespace: 'override' }
        })
        b.onLoad({ filter: /.*/, namespace: 'override' }, () => ({ contents: `module.exports = Object.assign(${JSON.stringify(overrides)}, window.__config)` }))
      },
    }],
  })
  const css = ['app', ...paths].map(p => path.join(example, p + '.wxss')).filter(existsSync).map(f => rpx(readFileSync(f, 'utf8'))).join('\n')
  return `<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1,user-scalable=no">
<style>html,body{margin:0;height:100%}view,image,video,page-meta{display:block}page-meta{display:none}image{background-position:center;background-repeat:no-repeat}
body{-webkit-tap-highlight-color:transparent;user-select:none}</style><style>${css}</style></head><body><script>${out.outputFiles[0].text.replace(/<\/script/g, '<\\/script')}</script></body></html>`
}
