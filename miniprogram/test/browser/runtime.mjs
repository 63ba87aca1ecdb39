// Starts a mini-program page in a browser: glass-easel as the framework, and a wx of the browser's own means.
import * as glassEasel from 'glass-easel'
import { MiniProgramEnv } from 'glass-easel-miniprogram-adapter'
import { makeWx } from './browser-wx.mjs'

const LONG_PRESS_MS = 350

export function start({ page, templates, configs, scripts }) {
  const wx = (window.wx = makeWx())
  const env = new MiniProgramEnv()

  // <image> is the only tag of the page that is more than a box.
  const global = env.getGlobalCodeSpace().getComponentSpace()
  global.define('image').definition({
    options: { virtualHost: false },
    properties: { src: String, mode: String },
    observers: {
      'src, mode'(src, mode) {
        const el = this.$$
        if (!el) return
        el.style.backgroundImage = src ? `url("${wx.urlOf(src)}")` : ''
        el.style.backgroundSize = mode === 'aspectFit' ? 'contain' : 'cover'
      },
    },
    lifetimes: {
      attached() {
        this.$$.style.backgroundImage = this.data.src ? `url("${wx.urlOf(this.data.src)}")` : ''
        this.$$.style.backgroundSize = this.data.mode === 'aspectFit' ? 'contain' : 'cover'
      },
    },
  }).registerComponent()

  const space = env.createCodeSpace('', true)
  space.getComponentSpace().setGlobalUsingComponent('image', global.getComponentByUrl('image', ''))
  for (const path in configs) {
    space.addComponentStaticConfig(path, configs[path])
    space.addCompiledTemplate(path, { groupList: templates, content: templates[path] })
  }
  // Components before the page that uses them.
  for (const path of Object.keys(scripts).reverse()) {
    space.componentEnv(path, ({ Page, Component }) => {
      window.Page = Page
      window.Component = Component
      scripts[path]()
    })
  }

  const backend = new glassEasel.CurrentWindowBackendContext()
  backend.onEvent((target, type, detail, options) => {
    const event = new glassEasel.Event(type, detail, options)
    // Where a mini-program finds the fingers.
    const { touches, changedTouches } = options.originalEvent || {}
    if (touches) Object.assign(event, { touches, changedTouches })
    glassEasel.Event.dispatchEvent(target, event)
    return event.defaultPrevented() ? glassEasel.EventBubbleStatus.NoDefault : glassEasel.EventBubbleStatus.Normal
  })
  const root = env.associateBackend(backend).createRoot('body', space, page)
  const placeholder = document.createElement('div')
  document.body.appendChild(placeholder)
  root.attach(document.body, placeholder)
  longPresses()

  const instance = root.get ? root.get() : root.getComponent()
  const caller = instance.getMethodCaller ? instance.getMethodCaller() : instance
  window.__page = caller
  for (const life of ['onLoad', 'onShow', 'onReady']) if (typeof caller[life] === 'function') caller[life]({})
}

/** A finger that rests is a longpress. */
function longPresses() {
  let timer
  const stop = () => clearTimeout(timer)
  document.body.addEventListener('touchstart', ev => {
    const { target } = ev
    const { clientX, clientY } = ev.touches[0]
    timer = setTimeout(() => {
      let el = target
      while (el && !el.__wxElement) el = el.parentNode
      if (el) glassEasel.Event.dispatchEvent(el.__wxElement, new glassEasel.Event('longpress', { x: clientX, y: clientY }, { bubbles: true, composed: true, originalEvent: ev }))
    }, LONG_PRESS_MS)
  }, { passive: true })
  for (const type of ['touchmove', 'touchend', 'touchcancel']) document.body.addEventListener(type, stop, { passive: true })
}
