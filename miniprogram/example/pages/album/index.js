const { createUploader } = require('@uploadtenant/uploader')
const { chooseMedia, chooseMessageFile, compressImages } = require('@uploadtenant/uploader/pickers')
const { multipart } = require('@uploadtenant/uploader/multipart')
const { zh, en } = require('@uploadtenant/uploader/messages')
const config = require('../../config')
const textsFor = require('../../lib/texts')
const { bytes, move } = require('../../lib/format')

const ENDED = { uploaded: true, instant: true, failed: true, aborted: true }
const STORED = { uploaded: true, instant: true }
// Trying again cannot help here.
const FINAL = /^(tooLarge|tooSmall|type|rejected|unreadable)$/

Page({
  data: {
    texts: {},
    summary: '',
    // In the order they were picked; `place` is where a tile stands, so that moving one moves no node.
    tiles: [],
    rows: 1,
    bar: { state: 'busy', percent: 0, line: '' },
    lifted: '',
    dx: 0,
    dy: 0,
    open: '',
    openItem: {},
  },

  onLoad() {
    const language = (wx.getAppBaseInfo && wx.getAppBaseInfo().language) || 'zh_CN'
    this.texts = textsFor(language)
    // Batch and index of each tile; they do not belong into the data that is drawn.
    this.sources = {}
    this.batches = []
    this.offline = false
    this.uploader = createUploader({
      endpoint: config.endpoint,
      concurrency: config.concurrency,
      getToken: config.getToken,
      multipart: multipart(),
      compress: config.compressOverBytes ? compressImages({ overBytes: config.compressOverBytes }) : undefined,
      messages: /^zh/i.test(language) ? zh : en,
      onEvent: event => {
        if (event.type === 'offline') this.setOffline(true)
      },
    })
    wx.onNetworkStatusChange(({ isConnected }) => this.setOffline(!isConnected))
    // Functions cannot be drawn, only strings can.
    const strings = {}
    for (const key in this.texts) if (typeof this.texts[key] === 'string') strings[key] = this.texts[key]
    this.setData({ texts: strings, summary: strings.none })
  },

  onUnload() {
    this.batches.forEach(batch => batch.handle.abort())
  },

  async onPick() {
    const choice = await new Promise(resolve => wx.showActionSheet({
      itemList: this.texts.sources,
      success: ({ tapIndex }) => resolve(tapIndex),
      fail: () => resolve(-1),
    }))
    if (choice < 0) return
    const files = choice ? await chooseMessageFile() : await chooseMedia({ count: config.pickCount, mediaType: ['image', 'video'], sizeType: ['original'] })
    if (files.length) this.start(files)
  },

  /** Shows the files and uploads them. */
  start(files) {
    const first = this.data.tiles.length
    const batch = { progress: null, paused: false }
    const tiles = files.map((file, i) => {
      const id = `f${Date.now()}-${first + i}`
      this.sources[id] = { batch, index: i, size: file.size || 0 }
      const ext = (/\.(\w+)$/.exec(file.name || file.path) || ['', ''])[1]
      const name = file.name || `${first + i + 1}${ext && '.' + ext}`
      return this.described({
        id, name, ext, path: file.path, thumb: file.thumb || '', video: /^(mp4|mov|m4v)$/i.test(ext),
        place: first + i, status: 'waiting', percent: 0, reason: '', again: true, ended: false,
      })
    })
    batch.ids = tiles.map(tile => tile.id)
    const change = {}
    tiles.forEach((tile, i) => (change[`tiles[${first + i}]`] = tile))
    this.setData(change)
    this.batches.push(batch)
    batch.handle = this.uploader.upload(files, {
      onFile: (i, state) => this.showFile(batch.ids[i], state),
      onProgress: progress => {
        batch.progress = progress
        this.showProgress(batch)
      },
    })
    this.showBar()
  },

  /** Adds what is read aloud and shown in words. */
  described(tile) {
    const text = tile.status === 'uploading' ? `${this.texts.uploading} ${tile.percent}%` : this.texts[tile.status]
    return Object.assign(tile, { statusText: text, label: this.texts.label(tile.place + 1, tile.name, tile.reason || text) })
  },

  /** Changes some tiles in one setData. */
  patch(changes) {
    const data = {}
    this.data.tiles.forEach((tile, i) => {
      const change = changes[tile.id]
      if (!change) return
      const next = this.described(Object.assign({}, tile, change))
      for (const key in next) if (next[key] !== tile[key]) data[`tiles[${i}].${key}`] = next[key]
      if (tile.id === this.data.open) data.openItem = next
    })
    if (Object.keys(data).length) this.setData(data)
  },

  showFile(id, { status, percent, error }) {
    this.patch({ [id]: { status, percent, reason: error ? error.message : '', again: !error || !FINAL.test(error.code), ended: !!ENDED[status] } })
    this.showBar()
  },

  /** At most every 100 ms: the SDK sees to that. */
  showProgress(batch) {
    const changes = {}
    batch.progress.perFile.forEach(({ percent }, i) => (changes[batch.ids[i]] = { percent }))
    this.patch(changes)
    this.showBar()
  },

  setOffline(offline) {
    this.offline = offline
    this.showBar()
  },

  showBar() {
    const { tiles } = this.data
    const { texts } = this
    const count = of => tiles.filter(of).length
    const stored = count(tile => STORED[tile.status])
    const failed = count(tile => tile.status === 'failed' || tile.status === 'aborted')
    const again = count(tile => tile.status === 'failed' && tile.again)
    const open = tiles.length - stored - failed
    const running = this.batches.filter(batch => batch.progress && batch.progress.speedBps)
    const speed = running.reduce((sum, batch) => sum + batch.progress.speedBps, 0)
    const left = Math.max(0, ...running.map(batch => batch.progress.etaMs || 0))
    const percent = this.percent(tiles)
    const paused = count(tile => tile.status === 'paused') > 0
    const bar = {
      percent,
      state: paused ? 'paused' : open ? 'busy' : again ? 'failed' : 'done',
      line: open && this.offline ? texts.offline
        : paused ? `${texts.paused} ${percent}%`
        : open ? [`${percent}%`].concat(speed ? [`${bytes(speed)}/s`, texts.left(Math.ceil(left / 1000))] : []).join(' · ')
        : failed ? texts.someFailed(failed)
        : texts.allDone,
    }
    this.setData({ bar, rows: Math.floor(tiles.length / 3) + 1, summary: tiles.length ? texts.count(tiles.length, stored) : texts.none })
  },

  /** Share of the bytes, of files that can still arrive. */
  percent(tiles) {
    let loaded = 0
    let total = 0
    tiles.forEach(tile => {
      const size = this.sources[tile.id].size || 1
      if (tile.status === 'failed' || tile.status === 'aborted') return
      total += size
      loaded += (size * (STORED[tile.status] ? 100 : tile.percent)) / 100
    })
    return total ? Math.floor((loaded / total) * 100) : 0
  },

  onPause() {
    this.batches.forEach(batch => batch.handle.pause())
  },

  onResume() {
    this.batches.forEach(batch => batch.handle.resume())
  },

  onRetryAll() {
    this.data.tiles.forEach(({ id, status, again }) => {
      if (status === 'failed' && again) this.onRetry({ detail: { id } })
    })
  },

  onRetry({ detail: { id } }) {
    const { batch, index } = this.sources[id]
    batch.handle.retryFailed(index)
  },

  async onRemove({ detail: { id } }) {
    const tile = this.data.tiles.find(t => t.id === id)
    const { batch, index } = this.sources[id]
    if (STORED[tile.status]) {
      const { confirm } = await new Promise(resolve => wx.showModal({ title: this.texts.remove, content: this.texts.removeAsk, success: resolve, fail: resolve }))
      if (!confirm) return
      const result = (await batch.handle.done)[index]
      try {
        await this.uploader.call('DELETE', '/v1/uploads/' + result.id)
      } catch (e) {
        wx.showToast({ title: this.texts.failed, icon: 'none' })
        return
      }
    } else if (tile.status !== 'failed') {
      batch.handle.abortFile(index)
    }
    const order = this.order().filter(other => other !== id)
    if (this.data.open === id) this.onClose()
    const tiles = this.data.tiles.filter(t => t.id !== id)
    this.setData({ tiles: tiles.map(t => this.described(Object.assign({}, t, { place: order.indexOf(t.id) }))) })
    this.showBar()
  },

  /** Ids as they stand on the screen. */
  order() {
    return this.data.tiles.slice().sort((a, b) => a.place - b.place).map(tile => tile.id)
  },

  place(order) {
    const changes = {}
    order.forEach((id, place) => (changes[id] = { place }))
    this.patch(changes)
  },

  onLift(event) {
    const { id } = event.currentTarget.dataset
    const { windowWidth } = wx.getWindowInfo()
    const touch = (event.touches && event.touches[0]) || event.detail
    this.drag = {
      id,
      // The grid is 702 of 750 rpx wide and has three columns.
      cell: (windowWidth * 702) / 750 / 3,
      x: touch.clientX == null ? touch.x : touch.clientX,
      y: touch.clientY == null ? touch.y : touch.clientY,
      from: this.data.tiles.find(tile => tile.id === id).place,
    }
    this.setData({ lifted: id, dx: 0, dy: 0 })
    if (wx.vibrateShort) wx.vibrateShort({ type: 'light' })
  },

  onDrag(event) {
    const { drag } = this
    if (!drag) return
    const { clientX, clientY } = event.touches[0]
    const dx = clientX - drag.x
    const dy = clientY - drag.y
    const { cell, from, id } = drag
    const column = Math.min(2, Math.max(0, (from % 3) + Math.round(dx / cell)))
    const row = Math.floor(from / 3) + Math.round(dy / cell)
    const to = Math.min(this.data.tiles.length - 1, Math.max(0, row * 3 + column))
    const place = this.data.tiles.find(tile => tile.id === id).place
    if (to !== place) this.place(move(this.order(), place, to))
    // The tile stays under the finger although its place has changed.
    this.setData({
      dx: dx + ((from % 3) - (to % 3)) * cell,
      dy: dy + (Math.floor(from / 3) - Math.floor(to / 3)) * cell,
    })
  },

  onDrop() {
    if (!this.drag) return
    this.drag = null
    this.setData({ lifted: '', dx: 0, dy: 0 })
  },

  onOpen({ detail: { id } }) {
    if (!this.drag) this.setData({ open: id, openItem: this.data.tiles.find(tile => tile.id === id) })
  },

  onClose() {
    this.setData({ open: '', openItem: {} })
  },

  /** Opens the neighbour of the open picture. */
  step(by) {
    const order = this.order()
    const id = order[order.indexOf(this.data.open) + by]
    if (id) this.onOpen({ detail: { id } })
  },

  onNext() {
    this.step(1)
  },

  onPrevious() {
    this.step(-1)
  },

  shift(by) {
    const order = this.order()
    const at = order.indexOf(this.data.open)
    if (order[at + by]) this.place(move(order, at, at + by))
  },

  onEarlier() {
    this.shift(-1)
  },

  onLater() {
    this.shift(1)
  },

  /** Hands the result, in the order on the screen, to the page that opened this one. */
  async onDone() {
    const results = await Promise.all(this.order().map(async id => {
      const { batch, index } = this.sources[id]
      return (await batch.handle.done)[index]
    }))
    const channel = this.getOpenerEventChannel && this.getOpenerEventChannel()
    if (channel && channel.emit) channel.emit('uploaded', results)
    this.results = results
    wx.navigateBack({ fail: () => wx.showToast({ title: this.texts.allDone, icon: 'success' }) })
  },
})
