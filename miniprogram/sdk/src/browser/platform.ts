import { UploadError } from '../core/errors.js'
import { madeUpName } from '../core/files.js'
import type { HttpReply, Platform, Transport } from '../core/platform.js'

/** XMLHttpRequest, as fetch tells nothing about the bytes that were sent. */
const xhr = (method: string, t: Transport, headers: Record<string, string>, body?: XMLHttpRequestBodyInit): Promise<HttpReply> =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open(method, t.url)
    request.timeout = t.patience_
    for (const name in headers) request.setRequestHeader(name, headers[name])
    const { onSent_ } = t
    // A listener makes the browser ask for permission first (CORS preflight), so only when somebody wants to know.
    if (onSent_) request.upload.onprogress = e => onSent_(e.loaded, e.total)
    request.onload = () => resolve({ status: request.status, text: request.responseText, header_: name => request.getResponseHeader(name) })
    request.onerror = () => reject(new UploadError('network'))
    request.ontimeout = () => reject(new UploadError('timeout'))
    t.onStop_(() => request.abort())
    request.send(body)
  })

/** The browser side. */
export const browserPlatform = (): Platform<Blob> => ({
  describe_({ path, name, type }) {
    const given = name || (path as File).name
    const kind = type || path.type
    return {
      name: given || madeUpName((kind.split('/')[1] || 'bin').replace('jpeg', 'jpg')),
      size: path.size,
      // Without a type the signer goes by the extension.
      type: kind,
      mark_: [given, path.size, (path as File).lastModified].join('|'),
    }
  },

  md5_: () => Promise.reject(new UploadError('rejected')),

  async sha256_(bytes) {
    // Only there in secure contexts: https, and localhost.
    return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as BufferSource)), b => (b < 16 ? '0' : '') + b.toString(16)).join('')
  },

  async read_(blob, offset, length) {
    try {
      return await blob.slice(offset, offset + length).arrayBuffer()
    } catch (e) {
      throw new UploadError('unreadable', { detail: String(e) })
    }
  },

  send_: request => xhr(request.method, request, request.headers_ || {}, request.body_),

  post_(form) {
    const data = new FormData()
    for (const field in form.fields) data.append(field, form.fields[field])
    data.append(form.fileField, form.file_, form.name)
    return xhr('POST', form, {}, data)
  },

  async online_(onWait) {
    if (!navigator.onLine) {
      onWait()
      await new Promise(resolve => addEventListener('online', resolve, { once: true }))
    }
  },
})
