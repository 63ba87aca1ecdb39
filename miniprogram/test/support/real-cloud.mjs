// The real signer and the emulated OSS in one process, as `kubectl-uploads dev` runs them, on free ports.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const binary = path.join(root, 'miniprogram/.build/kubectl-uploads')
let built

/** Builds the command once per process; Go's cache makes the others cheap. */
const build = () => (built ||= (async () => {
  mkdirSync(path.dirname(binary), { recursive: true })
  // Test files run side by side: each builds to a name of its own.
  await promisify(execFile)('go', ['build', '-o', binary + process.pid, './cmd/kubectl-uploads'], { cwd: root })
  return binary + process.pid
})())
process.on('exit', () => rmSync(binary + process.pid, { force: true }))

const tenant = ({ origins = [], maxSize = '20Mi', filesPerRequest = 20, expiry = '5m', more = '' }) => `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket:
    name: family-album
    prefix: album/
    ${origins.length ? `cors: {allowedOrigins: [${origins.map(o => JSON.stringify(o)).join(', ')}]}` : ''}
  limits:
    size: {max: ${maxSize}}
    contentTypes: [image/jpeg, image/png, video/mp4]
    extensions: [jpg, jpeg, png, mp4]
    filesPerRequest: ${filesPerRequest}
  grant: {expiry: ${expiry}}
  callback: {url: "https://upload.example.com/family/album/callback"}
${more}
`

/** Starts a tenant; close() ends it. */
export async function startRealCloud(options = {}) {
  const command = await build()
  const folder = mkdtempSync(path.join(tmpdir(), 'tenant-'))
  const file = path.join(folder, 'tenant.yaml')
  writeFileSync(file, tenant(options))
  const child = spawn(command, ['dev', '-f', file, '--addr', '127.0.0.1:0', '--oss-addr', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const [url, ossUrl] = await new Promise((resolve, reject) => {
    const look = chunk => {
      output += chunk
      const m = /signer +(http:\S+)[\s\S]*OSS +(http:\S+)\s/.exec(output)
      if (m) resolve([m[1], m[2]])
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('exit', code => reject(new Error(`kubectl-uploads dev ended with ${code}:\n${output}`)))
  })
  const faults = async body => {
    const r = await fetch(ossUrl + '/_emulator/faults', body
      ? { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      : { method: 'DELETE' })
    if (!r.ok) throw new Error(`faults: ${r.status} ${await r.text()}`)
  }
  return {
    url, ossUrl, faults,
    output: () => output,
    /** All records of a user, newest first. */
    async records(user) {
      const items = []
      let cursor = ''
      do {
        const r = await fetch(`${url}/v1/uploads?limit=100&cursor=${encodeURIComponent(cursor)}`, { headers: { authorization: 'Bearer dev:' + user } })
        const page = await r.json()
        items.push(...page.items)
        cursor = page.nextCursor
      } while (cursor)
      return items
    },
    requests: async () => (await fetch(ossUrl + '/_emulator/requests')).json(),
    async close() {
      child.removeAllListeners('exit')
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
