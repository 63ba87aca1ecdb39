// Uploads wait in the page before they are sent: a test decides how far a batch has come, not the speed of the machine.

/** Lets so many uploads of a page go, counted across reloads, and holds the others until letGo(). */
export const holdUploads = (page, count) => page.addInitScript(count => {
  sessionStorage.uploads ??= count
  const held = new Map()
  const { open, send, abort } = XMLHttpRequest.prototype
  const go = () => {
    for (const [xhr, body] of held) {
      if (!(sessionStorage.uploads > 0)) return
      sessionStorage.uploads--
      held.delete(xhr)
      send.call(xhr, body)
    }
  }
  Object.assign(XMLHttpRequest.prototype, {
    open(method, ...more) {
      this.isPart = method === 'PUT'
      open.call(this, method, ...more)
    },
    send(body) {
      if (!this.isPart && !(body instanceof FormData)) return send.call(this, body)
      held.set(this, body)
      go()
    },
    abort() {
      held.delete(this)
      abort.call(this)
    },
  })
  window.__letGo = more => {
    sessionStorage.uploads = +sessionStorage.uploads + more
    go()
  }
}, count)

/** Lets all uploads go. */
export const letGo = page => page.evaluate(() => window.__letGo(1e6))
