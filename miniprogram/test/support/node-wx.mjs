// The parts of the global wx that an uploader needs, for Node: real files, real HTTP, real multipart forms.
import { createHash } from 'node:crypto'
import { mkdtempSync, openSync, readSync, closeSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'

const types = { '.jpg': 'image/jpeg', '.png': 'image/png', '.mp4': 'video/mp4' }

/**
 * options.agent limits connections; options.connect replaces the way to a server, to go through an emulated link.
 * The result has `online`, to be set, and `stats`.
 */
export function nodeWx(options = {}) {
  const agent = options.agent || new http.Agent({ keepAlive: true, maxSockets: 10 })
  const listeners = []
  const storage = new Map()
  let online = true
  let inFlight = 0
  const open = new Set()
  const stats = { uploads: 0, maxInFlight: 0, logins: 0, requests: [] }

  const fail = (o, name, reason) => setImmediate(() => o.fail && o.fail({ errMsg: `${name}:fail ${reason}` }))

  function exchange(name, o, { method, headers, size, write }) {
    let ended = false
    const finish = fn => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      inFlight--
      open.delete(stop)
      fn()
    }
    inFlight++
    stats.maxInFlight = Math.max(stats.maxInFlight, inFlight)
    const url = new URL(o.url)
    const req = http.request({
      agent, method, host: url.hostname, port: url.port, path: url.pathname + url.search, headers, ...options.connect,
    })
    const progress = []
    const stop = reason => finish(() => {
      req.destroy()
      o.fail && o.fail({ errMsg: `${name}:fail ${reason}` })
    })
    const timer = setTimeout(() => stop('timeout'), o.timeout || 60000)
    open.add(stop)
    req.on('response', res => {
      const chunks = []
      res.on('data', c => chunks.push(c))
      res.on('error', () => stop('socket hang up'))
      res.on('end', () => finish(() => {
        const text = Buffer.concat(chunks).toString()
        let data = text
        // As the real one: JSON is parsed unless dataType says otherwise.
        if (name === 'request' && (o.dataType || 'json') === 'json') {
          try {
            data = JSON.parse(text)
          } catch {}
        }
        o.success && o.success({ statusCode: res.statusCode, data, header: res.headers, errMsg: name + ':ok' })
      }))
    })
    req.on('error', e => stop(e.code === 'ECONNREFUSED' ? 'errcode:-102 net::ERR_CONNECTION_REFUSED' : String(e.message)))
    if (!online) setImmediate(() => stop('errcode:-106 net::ERR_INTERNET_DISCONNECTED'))
    else write(req, sent => setImmediate(() => progress.forEach(l => !ended && l({
      totalBytesSent: sent, totalBytesExpectedToSend: size, progress: Math.floor((sent / size) * 100),
    }))))
    return { abort: () => stop('abort'), onProgressUpdate: l => progress.push(l) }
  }

  const withFile = (o, name, fn) => {
    try {
      const out = fn()
      setImmediate(() => o.success && o.success(out))
    } catch {
      fail(o, name, 'no such file or directory, open ' + o.filePath)
    }
  }

  const wx = {
    env: { USER_DATA_PATH: mkdtempSync(path.join(tmpdir(), 'wxdata-')) },
    request(o) {
      stats.requests.push((o.method || 'GET') + ' ' + new URL(o.url).pathname)
      const body = o.data == null ? Buffer.alloc(0) : Buffer.from(o.data)
      return exchange('request', o, {
        method: o.method || 'GET',
        // wx.request calls its body JSON unless it is told otherwise.
        headers: { 'content-type': 'application/json', ...o.header, 'content-length': body.length },
        size: body.length,
        write: req => req.end(body),
      })
    },
    uploadFile(o) {
      stats.uploads++
      let file
      try {
        file = readFileSync(o.filePath)
      } catch {
        fail(o, 'uploadFile', 'no such file or directory')
        return { abort() {}, onProgressUpdate() {} }
      }
      const boundary = '----WebKitFormBoundary' + Math.random().toString(36).slice(2)
      const head = Object.entries(o.formData || {}).map(([k, v]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${k}"\r\n\r\n${v}\r\n`).join('')
      const type = types[path.extname(o.filePath)] || 'application/octet-stream'
      const body = Buffer.concat([
        Buffer.from(`${head}--${boundary}\r\nContent-Disposition: form-data; name="${o.name}"; filename="${path.basename(o.filePath)}"\r\nContent-Type: ${type}\r\n\r\n`),
        file,
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ])
      return exchange('uploadFile', o, {
        method: 'POST',
        headers: { ...o.header, 'content-type': 'multipart/form-data; boundary=' + boundary, 'content-length': body.length },
        size: body.length,
        write(req, sent) {
          const next = at => {
            if (at >= body.length) return req.end()
            const piece = body.subarray(at, at + 65536)
            req.write(piece, err => {
              if (err) return
              sent(at + piece.length)
              next(at + piece.length)
            })
          }
          next(0)
        },
      })
    },
    getFileSystemManager: () => ({
      getFileInfo: o => withFile(o, 'getFileInfo', () => ({
        size: statSync(o.filePath).size,
        digest: options.noDigest ? undefined : createHash(o.digestAlgorithm || 'md5').update(readFileSync(o.filePath)).digest('hex'),
      })),
      readFile: o => withFile(o, 'readFile', () => {
        const size = o.length == null ? statSync(o.filePath).size - (o.position || 0) : o.length
        const fd = openSync(o.filePath, 'r')
        const data = Buffer.alloc(size)
        const n = readSync(fd, data, 0, size, o.position || 0)
        closeSync(fd)
        return { data: data.buffer.slice(data.byteOffset, data.byteOffset + n) }
      }),
      writeFile: o => withFile(o, 'writeFile', () => writeFileSync(o.filePath, Buffer.from(o.data))),
      unlink: o => withFile(o, 'unlink', () => unlinkSync(o.filePath)),
    }),
    getNetworkType: o => setImmediate(() => o.success({ networkType: online ? 'wifi' : 'none' })),
    onNetworkStatusChange: l => listeners.push(l),
    offNetworkStatusChange: l => listeners.splice(listeners.indexOf(l), 1),
    login: o => {
      stats.logins++
      setImmediate(() => o.success({ code: options.code ? options.code() : 'code-' + stats.logins }))
    },
    chooseMedia() {},
    chooseMessageFile() {},
    compressImage() {},
    getStorageSync: key => storage.get(key) || '',
    setStorageSync: (key, value) => void storage.set(key, value),
    removeStorageSync: key => void storage.delete(key),
    getAppBaseInfo: () => ({ language: 'zh_CN' }),
    // Not of wx: for tests.
    stats,
    listeners,
    setOnline(is) {
      online = is
      if (!is) open.forEach(stop => stop('errcode:-106 net::ERR_INTERNET_DISCONNECTED'))
      listeners.slice().forEach(l => l({ isConnected: is, networkType: is ? 'wifi' : 'none' }))
    },
    close: () => agent.destroy(),
  }
  return wx
}
