// A page to drop files on. ?endpoint= names the signer, ?user= the user of dev mode; a page of your own gets a
// token from your own session instead.
import { createUploader } from '@uploadtenant/uploader'
import { md5 } from '@uploadtenant/uploader/md5'
import { en, zh } from '@uploadtenant/uploader/messages'
import { multipart } from '@uploadtenant/uploader/multipart'
import { textsFor } from './texts.js'

const query = new URLSearchParams(location.search)
const texts = textsFor(navigator.language)
const $ = id => document.getElementById(id)
// Trying again cannot help here.
const final = error => !!error && /^(tooLarge|tooSmall|type|rejected|unreadable)$/.test(error.code)
const size = n => (n < 1024 * 1024 ? Math.ceil(n / 1024) + ' KB' : (n / 1024 / 1024).toFixed(1) + ' MB')

const uploader = createUploader({
  endpoint: query.get('endpoint') || 'http://127.0.0.1:8080',
  getToken: () => 'dev:' + (query.get('user') || 'alice'),
  md5,
  multipart: multipart({ from: Number(query.get('multipartFrom')) || 8 << 20 }),
  messages: /^zh/i.test(navigator.language) ? zh : en,
})

/** Every file that was ever dropped: batch, index in it, state and row. */
const items = []
let paused = false
let offline = !navigator.onLine

document.documentElement.lang = /^zh/i.test(navigator.language) ? 'zh-CN' : 'en'
for (const el of document.querySelectorAll('[data-text]')) el.textContent = texts[el.dataset.text]

function add(files) {
  if (!files.length) return
  const mine = files.map(file => ({ file, row: row(file), state: null }))
  const batch = uploader.upload(files, {
    onFile: (i, state) => {
      mine[i].state = state
      draw(mine[i])
      drawTotal()
    },
    onProgress: progress => {
      batch.progress = progress
      progress.perFile.forEach((state, i) => {
        mine[i].state = state
        draw(mine[i])
      })
      drawTotal()
    },
  })
  mine.forEach((item, index) => {
    item.batch = batch
    item.index = index
    item.row.querySelector('.icon').onclick = () => (/failed|aborted/.test(item.state?.status) ? batch.retryFailed(index) : batch.abortFile(index))
    items.push(item)
  })
  if (paused) batch.pause()
  drawTotal()

  function row(file) {
    const li = document.createElement('li')
    li.className = 'item'
    li.innerHTML = '<div class="item__art" aria-hidden="true"></div><div><div class="item__name"></div><div class="item__state"></div></div><button type="button" class="icon"></button><div class="track"><div class="track__fill"></div></div>'
    li.querySelector('.item__name').textContent = file.name
    const art = li.querySelector('.item__art')
    if (/^image\//.test(file.type)) art.style.backgroundImage = `url(${URL.createObjectURL(file)})`
    else art.textContent = (/\.(\w{1,4})$/.exec(file.name) || ['', '·'])[1]
    $('list').prepend(li)
    return li
  }
}

function draw(item) {
  const { row, state, file } = item
  const { status, percent, error } = state
  row.className = 'item item--' + status
  row.querySelector('.item__state').textContent = [size(file.size), status === 'failed' ? error.message : texts[status], status === 'uploading' && percent + '%'].filter(Boolean).join(' · ')
  row.querySelector('.track__fill').style.width = percent + '%'
  const button = row.querySelector('.icon')
  button.hidden = /uploaded|instant/.test(status) || final(error)
  button.textContent = /failed|aborted/.test(status) ? texts.retry : texts.cancel
  button.setAttribute('aria-label', button.textContent + ' ' + file.name)
}

function drawTotal() {
  const batches = [...new Set(items.map(item => item.batch))]
  const states = items.map(item => item.state).filter(Boolean)
  const done = states.filter(s => /uploaded|instant/.test(s.status)).length
  const failed = states.filter(s => s.status === 'failed' && !final(s.error)).length
  const open = items.length - done - states.filter(s => /failed|aborted/.test(s.status)).length
  const sum = key => batches.reduce((n, b) => n + ((b.progress && b.progress[key]) || 0), 0)
  const total = sum('total')
  const percent = open ? Math.min(99, Math.floor((sum('loaded') / (total || 1)) * 100)) : 100
  const left = Math.max(0, ...batches.map(b => (b.progress && b.progress.etaMs) || 0))
  $('total').hidden = false
  $('percent').textContent = percent + '%'
  $('fill').style.width = percent + '%'
  $('fill').className = 'track__fill' + (open ? '' : ' track__fill--done')
  $('line').textContent = open && offline ? texts.offline
    : [texts.count(done, items.length), paused && open && texts.paused, !paused && open && sum('speedBps') && `${size(sum('speedBps'))}/s`, !paused && open && left && texts.left(Math.ceil(left / 1000))].filter(Boolean).join(' · ')
  $('pause').hidden = !open
  $('pause').textContent = paused ? texts.resume : texts.pause
  $('retry').hidden = !failed || !!open
}

$('files').onchange = event => {
  add([...event.target.files])
  event.target.value = ''
}
$('pause').onclick = () => {
  paused = !paused
  new Set(items.map(item => item.batch)).forEach(batch => (paused ? batch.pause() : batch.resume()))
  drawTotal()
}
$('retry').onclick = () => new Set(items.map(item => item.batch)).forEach(batch => batch.retryFailed())

for (const type of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  addEventListener(type, event => {
    event.preventDefault()
    $('drop').classList.toggle('drop--over', type === 'dragenter' || type === 'dragover')
    if (type === 'drop') add([...event.dataTransfer.files])
  })
}
addEventListener('paste', event => add([...event.clipboardData.files]))
for (const type of ['online', 'offline']) {
  addEventListener(type, () => {
    offline = type === 'offline'
    drawTotal()
  })
}
