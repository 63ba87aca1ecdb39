// The components of the example on WeChat's official simulator: real WXML compiler, events and data.
const path = require('node:path')
const simulate = require('miniprogram-simulate')
const textsFor = require('../../example/lib/texts.js')
const { bytes, move } = require('../../example/lib/format.js')

const example = path.join(__dirname, '../../example')
const texts = Object.fromEntries(Object.entries(textsFor('zh_CN')).filter(([, v]) => typeof v === 'string'))

const ids = {}
const load = name => (ids[name] ||= simulate.load(path.join(example, `components/${name}/index`), { rootPath: example }))

/** Renders a component with properties; events that it triggers are collected. */
function render(name, properties) {
  const component = simulate.render(load(name), properties)
  component.attach(document.createElement('parent-wrapper'))
  const events = []
  for (const type of ['open', 'retry', 'remove', 'pause', 'resume', 'done', 'close', 'earlier', 'later', 'next', 'previous']) {
    component.addEventListener(type, e => events.push([type, e.detail]))
  }
  return { component, events, text: () => component.dom.textContent, find: s => component.querySelector(s), html: () => component.dom.innerHTML }
}

const tick = () => new Promise(resolve => setTimeout(resolve, 20))
const item = more => ({ id: 'a', name: 'a.jpg', ext: 'jpg', thumb: 'wxfile://a.jpg', status: 'waiting', percent: 0, reason: '', again: true, ended: false, label: '第 1 项，a.jpg', ...more })

describe('upload-tile', () => {
  test.each([
    ['waiting', {}, '等待上传'],
    ['paused', {}, '已暂停'],
    ['uploading', { percent: 45 }, '45'],
    ['instant', {}, '秒传'],
    ['failed', { reason: '网络不稳定，请重试' }, '网络不稳定，请重试重试'],
  ])('shows %s', (status, more, want) => {
    expect(render('upload-tile', { item: item({ status, ...more }), texts }).text()).toBe(want)
  })

  test('offers no retry where it cannot help', () => {
    const { find, text } = render('upload-tile', { item: item({ status: 'failed', reason: '文件太大', again: false }), texts })
    expect(find('.tile__retry')).toBeFalsy()
    expect(text()).toBe('文件太大')
  })

  test('tells which file is opened, retried and removed', async () => {
    const { find, events } = render('upload-tile', { item: item({ status: 'failed' }), texts })
    find('.tile__open').dispatchEvent('tap')
    find('.tile__retry').dispatchEvent('tap')
    find('.tile__remove').dispatchEvent('tap')
    await tick()
    expect(events).toEqual([['open', { id: 'a' }], ['retry', { id: 'a' }], ['remove', { id: 'a' }]])
  })

  test('a file that is no picture shows its extension and name', () => {
    const { find, text } = render('upload-tile', { item: item({ thumb: '', ext: 'pdf', name: '合同.pdf', status: 'uploaded' }), texts })
    expect(find('.tile__picture')).toBeFalsy()
    expect(text()).toBe('pdf合同.pdf')
  })
})

describe('upload-bar', () => {
  test.each([
    ['busy', '暂停', 'pause'],
    ['paused', '继续', 'resume'],
    ['failed', '全部重试', 'retry'],
    ['done', '完成', 'done'],
  ])('offers the one action for %s', async (state, label, event) => {
    const { find, events } = render('upload-bar', { state, percent: 50, line: '50%', texts })
    expect(find('.bar__action').dom.textContent).toBe(label)
    find('.bar__action').dispatchEvent('tap')
    await tick()
    expect(events.map(e => e[0])).toEqual([event])
  })
})

describe('photo-viewer', () => {
  test('shows place and name, and tells what was tapped', async () => {
    const { find, events, text } = render('photo-viewer', { item: item({ statusText: '已上传' }), place: 1, total: 3, texts })
    expect(text()).toContain('2 / 3')
    expect(text()).toContain('a.jpg · 已上传')
    find('.viewer__close').dispatchEvent('tap')
    find('.viewer__action--bad').dispatchEvent('tap')
    await tick()
    expect(events).toEqual([['close', { id: 'a' }], ['remove', { id: 'a' }]])
  })
})

test('both languages have the same texts', () => {
  expect(Object.keys(textsFor('en'))).toEqual(Object.keys(textsFor('zh_HK')))
})

test('move keeps every item', () => {
  expect(move([1, 2, 3, 4], 0, 2)).toEqual([2, 3, 1, 4])
  expect(move([1, 2, 3, 4], 3, 0)).toEqual([4, 1, 2, 3])
})

test('bytes are for people', () => {
  expect([0, 1023, 1024, 1536 * 1024].map(bytes)).toEqual(['0 B', '1023 B', '1 KB', '1.5 MB'])
})
