// A signer and a bucket in one small server that keep to the HTTP contract, with a knob for every trouble
// that the real ones can make. The contract tests run the same cases against the real ones.
import { createHash, randomUUID } from 'node:crypto'
import http from 'node:http'

const md5 = data => createHash('md5').update(data).digest('hex')

/** Fields in order and the file of a multipart form. */
export function parseForm(body, contentType) {
  const boundary = '--' + /boundary=(.*)$/.exec(contentType)[1]
  const out = { names: [], fields: {}, file: undefined }
  let at = body.indexOf(boundary)
  for (;;) {
    const start = at + boundary.length + 2
    const end = body.indexOf('\r\n' + boundary, start)
    if (end < 0) return out
    const split = body.indexOf('\r\n\r\n', start)
    const name = / name="([^"]*)"/.exec(body.subarray(start, split).toString())[1]
    const value = body.subarray(split + 4, end)
    out.names.push(name)
    if (name === 'file') out.file = Buffer.from(value)
    else out.fields[name] = value.toString()
    at = end + 2
  }
}

export async function startFakeCloud(knobs = {}) {
  const k = {
    filesPerRequest: 1000, ttl: 300, maxSize: 1 << 20, types: /^image\//, callback: true, dedupe: 'off', tokens: null,
    multipart: true, partSize: 1 << 18, random: Math.random, ossError: () => undefined, dropCallback: () => false,
    dropAnswer: () => false, ...knobs,
  }
  const grants = new Map() // ticket -> grant
  const objects = new Map() // key -> {data, ticket}
  const records = new Map() // id -> record
  const challenges = new Map()
  const multiparts = new Map()
  const log = []
  const verdicts = []
  let url

  const problem = (status, code, detail = code, extra = {}) =>
    ({ status, type: 'application/problem+json', body: { type: 'about:blank', title: code, status, detail, code, requestId: 'r1', ...extra } })
  const xml = (status, code, ec) => ({
    status, type: 'application/xml',
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>${code}</Code>\n  <Message>${code} message</Message>\n  <RequestId>65F0AA</RequestId>\n  <HostId>b</HostId>\n  <EC>${ec}</EC>\n</Error>`,
  })
  const record = grant => {
    const { data } = objects.get(grant.key)
    const r = { id: grant.id, key: grant.key, name: grant.file.name, size: data.length, contentType: grant.file.contentType, md5: md5(data), etag: md5(data).toUpperCase(), status: 'completed', createdAt: new Date().toISOString(), metadata: grant.file.metadata || {} }
    records.set(r.id, r)
    return r
  }
  const plain = file => {
    const id = randomUUID()
    const grant = { id, key: `p/${id}.bin`, ticket: 't-' + id, until: Date.now() + k.ttl * 1000, file }
    grants.set(grant.ticket, grant)
    return {
      status: 'upload', id, key: grant.key, method: 'POST', url: url + '/bucket', fileField: 'file', ticket: grant.ticket, expiresIn: k.ttl,
      fields: { key: grant.key, policy: 'cG9saWN5', 'x-oss-meta-ticket': grant.ticket, 'x-oss-forbid-overwrite': 'true', success_action_status: '200' },
    }
  }
  const verdict = file => {
    if (file.size > k.maxSize) return { status: 'rejected', error: problem(422, 'file_too_large', 'too large').body }
    if (file.contentType && !k.types.test(file.contentType)) return { status: 'rejected', error: problem(422, 'type_not_allowed').body }
    const known = [...records.values()].find(r => file.md5 && r.md5 === file.md5 && r.size === file.size)
    if (known && k.dedupe === 'user') return { status: 'instant', id: known.id, key: known.key }
    if (known && k.dedupe === 'tenant') {
      const c = { id: randomUUID(), nonce: randomUUID(), ranges: [{ offset: 1, length: 5 }, { offset: Math.max(0, file.size - 7), length: 7 }], known, file }
      challenges.set(c.id, c)
      return { status: 'challenge', id: c.id, nonce: c.nonce, ranges: c.ranges }
    }
    return plain(file)
  }

  function signer(method, path, body, bearer) {
    if (path === '/v1/sessions/wechat') {
      if (k.login) return k.login(body.code)
      return { body: { token: 'wx-' + body.code, expiresIn: 3600 } }
    }
    if (k.tokens && !k.tokens(bearer)) return problem(401, 'unauthorized')
    if (path === '/v1/uploads' && method === 'POST') {
      if (body.files.length > k.filesPerRequest) return problem(400, 'too_many_files', `at most ${k.filesPerRequest} files fit into one request`)
      const uploads = body.files.map(verdict)
      verdicts.push(uploads)
      return { body: { uploads } }
    }
    if (path === '/v1/uploads/complete') {
      const grant = grants.get(body.ticket)
      if (!objects.has(grant.key)) return problem(404, 'not_uploaded')
      return { body: record(grant) }
    }
    if (path === '/v1/uploads/prove') {
      const c = challenges.get(body.id)
      challenges.delete(body.id)
      const data = objects.get(c.known.key).data
      const want = createHash('sha256').update(c.nonce)
      c.ranges.forEach(r => want.update(data.subarray(r.offset, r.offset + r.length)))
      return { body: want.digest('hex') === body.digest ? { status: 'instant', id: c.id, key: c.known.key } : plain(c.file) }
    }
    const part = /^\/v1\/multipart(?:\/([^/]+)(?:\/(parts|complete))?)?$/.exec(path)
    if (part && k.multipart && method === 'POST') {
      if (!part[1]) {
        const m = { id: randomUUID(), file: body, parts: {}, until: Date.now() + k.ttl * 1000 }
        m.key = 'p/' + m.id
        multiparts.set(m.id, m)
        return { body: { id: m.id, key: m.key, partSize: k.partSize, expiresIn: 3600 } }
      }
      const m = multiparts.get(part[1])
      if (!m) return problem(404, 'not_found')
      if (part[2] === 'parts') {
        const parts = body.partNumbers.map(n => ({ partNumber: n, method: 'PUT', url: `${url}/part/${m.id}/${n}?until=${Date.now() + k.ttl * 1000}` }))
        return { body: { parts, uploaded: Object.keys(m.parts).map(Number), expiresIn: k.ttl } }
      }
      const data = Buffer.concat(Object.keys(m.parts).map(Number).sort((a, b) => a - b).map(n => m.parts[n]))
      if (Object.keys(m.parts).length < Math.ceil(m.file.size / k.partSize)) return problem(409, 'parts_missing')
      if (data.length !== m.file.size) return problem(409, 'object_mismatch')
      const grant = { id: m.id, key: m.key, ticket: 't-' + m.id, file: m.file }
      grants.set(grant.ticket, grant)
      objects.set(m.key, { data, ticket: grant.ticket })
      return { body: record(grant) }
    }
    if (path === '/v1/uploads' && method === 'GET') return { body: { items: [...records.values()].reverse(), nextCursor: '' } }
    return problem(404, 'not_found', 'there is nothing at this path')
  }

  function bucket(form) {
    if (form.names[form.names.length - 1] !== 'file') return xml(400, 'InvalidArgument', '0006-00000103')
    const grant = grants.get(form.fields['x-oss-meta-ticket'])
    if (!grant) return xml(403, 'AccessDenied', '0006-00000227')
    const error = k.ossError(grant, log.length)
    if (error) return xml(...error)
    if (Date.now() > grant.until) return xml(403, 'AccessDenied', '0006-00000213')
    if (form.file.length !== grant.file.size) return xml(400, 'EntityTooLarge', '0006-00000003')
    if (objects.has(grant.key)) return xml(409, 'FileAlreadyExists', '0026-00000002')
    objects.set(grant.key, { data: form.file, ticket: grant.ticket })
    if (!k.callback) return { status: 200, body: '' }
    if (k.dropCallback(grant)) return xml(203, 'CallbackFailed', '0007-00000203')
    const body = record(grant)
    return k.dropAnswer(grant) ? 'drop' : { body }
  }

  const cors = k.origin ? { 'access-control-allow-origin': k.origin, 'access-control-allow-methods': '*', 'access-control-allow-headers': '*, authorization' } : {}
  // By default Node closes a connection after 5 idle seconds, maybe just as the next request is sent on it.
  const server = http.createServer({ keepAliveTimeout: 600000 }, (req, res) => {
    if (req.method === 'OPTIONS') return res.writeHead(204, cors).end()
    const chunks = []
    req.on('data', c => chunks.push(c))
    req.on('error', () => {})
    req.on('end', async () => {
      const body = Buffer.concat(chunks)
      const path = req.url.split('?')[0]
      let out
      if (path === '/bucket') {
        const form = parseForm(body, req.headers['content-type'])
        log.push({ path, form })
        await k.slow?.(form)
        out = bucket(form)
      } else if (path.startsWith('/part/')) {
        const [, , id, n] = path.split('/')
        log.push({ path, method: 'PUT', n: +n })
        await k.slow?.()
        const error = k.partError?.(+n)
        if (error) out = xml(...error)
        else if (+/until=(\d+)/.exec(req.url)[1] < Date.now()) out = xml(403, 'AccessDenied', '0002-00000069')
        else {
          multiparts.get(id).parts[n] = body
          out = { body: '' }
        }
      } else {
        const json = body.length ? JSON.parse(body) : undefined
        const bearer = (req.headers.authorization || '').replace('Bearer ', '')
        log.push({ path, method: req.method, body: json, bearer })
        out = k.signer?.(req.method, path, json) || signer(req.method, path, json, bearer)
      }
      if (out === 'drop') return req.socket.destroy()
      const text = typeof out.body === 'string' ? out.body : JSON.stringify(out.body)
      res.writeHead(out.status || 200, { 'content-type': out.type || 'application/json', ...cors, ...out.headers })
      res.end(text)
    })
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${server.address().port}`
  return {
    url, knobs: k, log, verdicts, objects, records, multiparts,
    calls: path => log.filter(e => e.path === path),
    close: () => new Promise(resolve => {
      server.closeAllConnections()
      server.close(resolve)
    }),
  }
}
