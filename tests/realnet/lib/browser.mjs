// Headless Chromium with what a journey through pages needs: named steps, numbered screenshots, and a
// record of the browser's complaints.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { chromiumResolverRules } from './names.mjs'

export const TIMEOUT_MS = 20_000
const VIEWPORT_HEIGHT = 900

const SWITCHES = [
  '--no-sandbox', // test machines are containers, run as root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  // No request may leave the machine.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--host-resolver-rules=${chromiumResolverRules}`,
]

export class StepError extends Error {
  constructor(step, message) {
    super(message)
    this.step = step
  }
}

export class Journey {
  screenshots = []
  #browser
  #directory
  #complaints = []

  static async begin({ screenshots, insecure, width, dark, locale }) {
    const journey = new Journey()
    journey.#directory = screenshots
    mkdirSync(screenshots, { recursive: true })
    journey.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: SWITCHES,
    })
    const context = await journey.#browser.newContext({
      ignoreHTTPSErrors: insecure,
      viewport: { width, height: VIEWPORT_HEIGHT },
      colorScheme: dark ? 'dark' : 'light',
      locale: locale ?? 'en-US',
    })
    context.setDefaultTimeout(TIMEOUT_MS)
    await journey.#listen(context)
    journey.page = await context.newPage()
    return journey
  }

  end() {
    return this.#browser.close()
  }

  // Runs one step; when it fails, the error names it and what the page showed, and a screenshot is taken.
  async step(name, action) {
    try {
      return await action()
    } catch (error) {
      const text = await this.page.locator('body').innerText({ timeout: 1000 }).catch(() => '')
      await this.#capture(`failure-${name}`).catch(() => {})
      const where = `at ${this.page.url()}, which shows: ${excerpt(text)}`
      throw new StepError(name, `${error.message.split('\n')[0]} (${where})`)
    }
  }

  screenshot(name) {
    return this.#capture(`${String(this.screenshots.length + 1).padStart(2, '0')}-${name}`)
  }

  async #capture(name) {
    const path = join(this.#directory, `${name}.png`)
    // caret "hide" would be an inline style, which a strict CSP rightly refuses, and reports.
    await this.page.screenshot({ path, fullPage: true, caret: 'initial' })
    this.screenshots.push(path)
  }

  // The browser's complaints about the pages of these origins.
  complaintsAbout(origins) {
    return this.#complaints.filter(({ url }) => URL.canParse(url) && origins.has(new URL(url).origin))
  }

  async #listen(context) {
    const note = (kind, url, text) => this.#complaints.push({ kind, url, text })
    context.on('console', (message) => {
      if (message.type() !== 'error') return
      note('console', message.location().url || message.page()?.url(), message.text())
    })
    context.on('weberror', (webError) => note('page-error', webError.page()?.url(), webError.error().message))
    await context.exposeBinding('realnetViolation', (_source, { url, text }) => note('csp', url, text))
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sample }) => {
        const text = [effectiveDirective, blockedURI, sample].filter(Boolean).join(' ')
        globalThis.realnetViolation({ url: location.href, text })
      })
    })
  }
}

const excerpt = (text) => JSON.stringify(text.replace(/\s+/g, ' ').slice(0, 300))

// Polls until the result is truthy; for conditions that no Playwright wait expresses.
export async function until(what, ask) {
  const deadline = Date.now() + TIMEOUT_MS
  while (Date.now() < deadline) {
    const answer = await ask()
    if (answer) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`Timeout ${TIMEOUT_MS}ms exceeded waiting until ${what}`)
}
