// Bundles the page into web/dist; with --serve [port] it is served on loopback, on the port that
// cors.allowedOrigins of the tenant has to name.
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const out = here + 'dist/'

export async function buildWeb() {
  mkdirSync(out, { recursive: true })
  await build({ entryPoints: [here + 'app.js'], bundle: true, format: 'esm', target: 'es2020', minify: true, charset: 'utf8', outfile: out + 'app.js', logLevel: 'error' })
  for (const file of ['index.html', 'style.css']) cpSync(here + file, out + file)
  return out
}

const types = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' }

export async function serveWeb(port = 0) {
  await buildWeb()
  const server = http.createServer((req, res) => {
    const name = new URL(req.url, 'http://x').pathname.slice(1) || 'index.html'
    if (!/^(index\.html|style\.css|app\.js)$/.test(name)) return res.writeHead(404).end()
    res.writeHead(200, { 'content-type': types[name.split('.')[1]], 'cache-control': 'no-store' }).end(readFileSync(out + name))
  })
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise(resolve => {
      server.closeAllConnections()
      server.close(resolve)
    }),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--serve')
  if (at < 0) await buildWeb()
  else console.log(`${(await serveWeb(Number(process.argv[at + 1]) || 5173)).url}/?endpoint=http://127.0.0.1:8080&user=alice`)
}
