// wx by the browser's own means. Files that a test has put into window.__pick are what the picker returns.
import { Md5State } from '../../sdk/src/md5.ts'

export function makeWx() {
  const blobs = new Map()
  const urls = new Map()
  let picked = 0
  const later = (fn, ...args) => fn && setTimeout(fn, 0, ...args)

  const keep = blob => {
    const ext = { 'image/jpeg': 'jpg', 'image/png': 'png', 'video/mp4': 'mp4', 'image/gif': 'gif' }[blob.type] || 'bin'
    const path = `wxfile://tmp_${++picked}.${ext}`
    blobs.set(path, blob)
    return path
  }

  const exchange = (name, o, { method, headers, body }) => {
    const xhr = new XMLHttpRequest()
    const listeners = []
    xhr.open(method, o.url)
    xhr.timeout = o.timeout || 60000
    for (const key in headers) xhr.setRequestHeader(key, headers[key])
    xhr.upload.onprogress = e => listeners.forEach(l => l({ progress: Math.floor((e.loaded / e.total) * 100), totalBytesSent: e.loaded, totalBytesExpectedToSend: e.total }))
    xhr.onload = () => {
      const header = {}
      xhr.getAllResponseHeaders().trim().split(/\r?\n/).forEach(line => (header[line.split(': ')[0]] = line.split(': ')[1]))
      let data = xhr.responseText
      if (name === 'request' && (o.dataType || 'json') === 'json') try { data = JSON.parse(data) } catch {}
      later(o.success, { statusCode: xhr.status, data, header })
    }
    xhr.onerror = () => later(o.fail, { errMsg: `${name}:fail errcode:-106 net::ERR_INTERNET_DISCONNECTED` })
    xhr.ontimeout = () => later(o.fail, { errMsg: `${name}:fail timeout` })
    xhr.onabort = () => later(o.fail, { errMsg: `${name}:fail abort` })
    xhr.send(body)
    return { abort: () => xhr.abort(), onProgressUpdate: l => listeners.push(l) }
  }

  const withBlob = async (o, name, fn) => {
    const blob = blobs.get(o.filePath)
    if (!blob) return later(o.fail, { errMsg: name + ':fail no such file or directory' })
    const out = await fn(blob)
    o.success && o.success(out)
  }

  const dialog = (lines, title) => new Promise(resolve => {
    const shade = document.createElement('div')
    shade.style.cssText = 'position:fixed;inset:0;z-index:99;background:rgba(0,0,0,.5);display:flex;flex-direction:column;justify-content:flex-end;font:16px/1.4 "Noto Sans CJK SC",sans-serif'
    const sheet = document.createElement('div')
    sheet.style.cssText = 'background:#fff;color:#111;border-radius:14px 14px 0 0;overflow:hidden;text-align:center;padding-bottom:12px'
    if (title) sheet.innerHTML = `<div style="padding:16px;color:#666;font-size:14px"></div>`
    if (title) sheet.firstChild.textContent = title
    lines.forEach((line, i) => {
      const item = document.createElement('div')
      item.className = 'wx-dialog-item'
      item.style.cssText = 'padding:16px;border-top:1px solid #eee'
      item.textContent = line
      item.addEventListener('click', ev => {
        // The click that browsers make of the tap which has led here is no answer; tests answer with the mouse.
        if (ev.pointerType === 'touch') return
        shade.remove()
        resolve(i)
      })
      sheet.appendChild(item)
    })
    shade.appendChild(sheet)
    document.body.appendChild(shade)
  })

  return {
    urlOf: path => {
      if (!blobs.has(path)) return path
      if (!urls.has(path)) urls.set(path, URL.createObjectURL(blobs.get(path)))
      return urls.get(path)
    },
    env: { USER_DATA_PATH: 'wxfile://usr' },
    request: o => exchange('request', o, { method: o.method || 'GET', headers: o.header, body: o.data }),
    uploadFile(o) {
      const form = new FormData()
      for (const key in o.formData) form.append(key, o.formData[key])
      form.append(o.name, blobs.get(o.filePath), o.filePath.split('/').pop())
      return exchange('uploadFile', o, { method: 'POST', headers: o.header, body: form })
    },
    getFileSystemManager: () => ({
      getFileInfo: o => withBlob(o, 'getFileInfo', async blob => {
        const bytes = new Uint8Array(await blob.arrayBuffer())
        return { size: blob.size, digest: o.digestAlgorithm === 'md5' ? new Md5State().end(bytes) : undefined }
      }),
      readFile: o => withBlob(o, 'readFile', async blob => ({ data: await blob.slice(o.position, o.position + o.length).arrayBuffer() })),
      writeFile: o => (blobs.set(o.filePath, new Blob([o.data])), later(o.success)),
      unlink: o => blobs.delete(o.filePath),
    }),
    getNetworkType: o => later(o.success, { networkType: navigator.onLine ? 'wifi' : 'none' }),
    onNetworkStatusChange(listener) {
      addEventListener('online', () => listener({ isConnected: true }))
      addEventListener('offline', () => listener({ isConnected: false }))
    },
    login: o => later(o.success, { code: 'code' }),
    chooseMedia: o => later(o.success, {
      tempFiles: (window.__pick || []).map(blob => ({ tempFilePath: keep(blob), size: blob.size, fileType: blob.type.split('/')[0] })),
    }),
    chooseMessageFile: o => later(o.success, {
      tempFiles: (window.__pick || []).map(blob => ({ path: keep(blob), name: blob.name, size: blob.size, type: blob.type.startsWith('image') ? 'image' : 'file' })),
    }),
    compressImage: o => later(o.fail, { errMsg: 'compressImage:fail' }),
    showActionSheet: o => dialog(o.itemList).then(tapIndex => o.success({ tapIndex })),
    showModal: o => dialog(['确定', '取消'], o.content).then(i => o.success({ confirm: i === 0 })),
    showToast: o => (window.__toast = o.title),
    vibrateShort() {},
    navigateBack: o => later(o.fail, {}),
    getWindowInfo: () => ({ windowWidth: innerWidth, windowHeight: innerHeight }),
    getAppBaseInfo: () => ({ language: window.__language || 'zh_CN' }),
    getStorageSync: key => localStorage.getItem(key) || '',
    setStorageSync: (key, value) => localStorage.setItem(key, value),
    removeStorageSync: key => localStorage.removeItem(key),
  }
}
