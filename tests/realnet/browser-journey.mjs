#!/usr/bin/env node
// Goes through Causeway's and a PDS' pages in real Chromium; prints one JSON line. See README.md.
import { parseArgs } from 'node:util'
import { Journey, StepError, until } from './lib/browser.mjs'
import { decide, refresh, signOut, submitField, waitForConsentPage, waitForDenial, waitForResults } from './lib/causeway-pages.mjs'
import { writeLine } from './lib/json-lines.mjs'
import { onEndOfLife } from './lib/lifetime.mjs'
import { authorizeAtPds } from './lib/pds-pages.mjs'

function parseOptions() {
  const { values } = parseArgs({
    options: {
      base: { type: 'string' },
      'start-url': { type: 'string' },
      handle: { type: 'string' },
      password: { type: 'string' },
      screenshots: { type: 'string' },
      insecure: { type: 'boolean', default: false },
      width: { type: 'string', default: '1280' },
      dark: { type: 'boolean', default: false },
      deny: { type: 'boolean', default: false },
    },
  })
  for (const name of ['handle', 'password', 'screenshots']) {
    if (!values[name]) throw new Error(`--${name} is required`)
  }
  const url = values['start-url'] ?? values.base
  if (!URL.canParse(url)) throw new Error('--base or --start-url is required and must be a URL')
  return {
    ...values,
    url,
    decision: values.deny ? 'deny' : 'allow',
    width: Number(values.width),
  }
}

// `own` collects Causeway's origins: the requested one, and the one it redirects to before it sets cookies.
async function throughDemo(journey, own, { url, handle, password, decision }) {
  const { page } = journey
  await journey.step('open-demo', async () => {
    await page.goto(new URL('/', url).href)
    own.add(new URL(page.url()).origin)
    await page.locator('input[name="login_hint"]').waitFor()
    await journey.screenshot('demo')
  })
  await journey.step('submit-handle', () => submitField(page, 'login_hint', handle))
  await authorizeAtPds(journey, { from: own, handle, password })
  await waitForConsentPage(journey, own)
  await decide(journey, decision)
  if (decision === 'deny') return { denied: await waitForDenial(journey) }

  const beforeRefresh = await waitForResults(journey)
  const afterRefresh = await refresh(journey, beforeRefresh)
  const afterSignOut = await signOut(journey)
  return { beforeRefresh, afterRefresh, afterSignOut }
}

// From a client's authorize URL until the browser is sent back to that client.
async function throughAuthorizeUrl(journey, own, { url, handle, password, decision }) {
  const { page } = journey
  const identifier = page.locator('input[name="identifier"]')
  const asked = await journey.step('open-start-url', async () => {
    await page.goto(url)
    // With a login hint there may be no form to fill in.
    return until('a sign-in page or a PDS page is shown', async () => {
      if (await identifier.isVisible()) return 'identifier'
      return own.has(new URL(page.url()).origin) ? undefined : 'pds'
    })
  })
  if (asked === 'identifier') {
    await journey.step('submit-identifier', async () => {
      own.add(new URL(page.url()).origin)
      await journey.screenshot('sign-in')
      await submitField(page, 'identifier', handle)
    })
  }
  await authorizeAtPds(journey, { from: own, handle, password })
  await waitForConsentPage(journey, own)

  let redirect
  watchForClient(journey, own, (seen) => (redirect ??= seen))
  await decide(journey, decision)
  await journey.step('redirect-to-client', () => until('the browser is sent to the client', () => redirect))
  return { redirect }
}

// The client need not be listening, and its redirect URI need not be one that a browser can open (an app's own
// scheme), so a Location header counts as well as a request. A form_post is a request with a body.
function watchForClient({ page }, own, found) {
  const isClient = (url) => !own.has(url.origin)
  page.on('response', (response) => {
    const { location } = response.headers()
    if (!location || !own.has(new URL(response.url()).origin) || !response.request().isNavigationRequest()) return
    const url = new URL(location, response.url())
    if (isClient(url)) found({ method: 'GET', url: url.href })
  })
  page.on('request', (request) => {
    if (!request.isNavigationRequest() || !isClient(new URL(request.url()))) return
    found({ method: request.method(), url: request.url(), body: request.postData() ?? undefined })
  })
}

async function main() {
  const options = parseOptions()
  const own = new Set([new URL(options.url).origin])
  const journey = await Journey.begin(options)
  onEndOfLife(async () => {
    await journey.end()
    process.exit(1)
  })
  const report = (outcome) =>
    writeLine({ ...outcome, problems: journey.complaintsAbout(own), screenshots: journey.screenshots })
  try {
    const travel = options['start-url'] ? throughAuthorizeUrl : throughDemo
    report({ ok: true, ...(await travel(journey, own, options)) })
  } catch (error) {
    if (!(error instanceof StepError)) throw error
    report({ ok: false, step: error.step, error: error.message })
    process.exitCode = 1
  } finally {
    await journey.end()
  }
}

try {
  await main()
} catch (error) {
  console.error(`browser-journey: ${error.message}`)
  process.exitCode = 1
}
