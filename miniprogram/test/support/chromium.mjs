// A real browser: Debian's chromium, driven by playwright-core.
import { existsSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

/** How long a test waits for what it expects, in ms. Only a failure takes that long, so it is far above what a busy machine needs. */
export const PATIENCE = 180000

const shots = process.env.SCREENSHOTS || fileURLToPath(new URL('../shots/', import.meta.url))

export async function launch(options = {}) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
  if (!executablePath) throw new Error('no Chromium: apt-get install chromium fonts-noto-cjk')
  return chromium.launch({ executablePath, timeout: PATIENCE, args: ['--no-sandbox', ...(options.args || [])] })
}

/** A page in a context of its own. */
export async function openPage(browser, options) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE)
  return { context, page: await context.newPage() }
}

/** Keeps a picture of the page for a person to look at. */
export async function shoot(page, name, options = {}) {
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: `${shots}/${name}.png`, ...options })
}
