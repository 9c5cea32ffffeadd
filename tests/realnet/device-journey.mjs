#!/usr/bin/env node
// A stock client on a device, openid-client, runs the whole flow of RFC 8628 while a user confirms its code in a
// browser: a simulated one that submits forms, or real Chromium. Prints one JSON line. See README.md.
import { parseArgs } from 'node:util'
import * as client from 'openid-client'
import { Journey, until } from './lib/browser.mjs'
import { decide, submitField, waitForConsentPage } from './lib/causeway-pages.mjs'
import { HttpAgent } from './lib/http-agent.mjs'
import { writeLine } from './lib/json-lines.mjs'
import { authorizeAtPds } from './lib/pds-pages.mjs'
import { signInAndDecide } from './lib/pds-sign-in.mjs'

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

function parseOptions() {
  const { values } = parseArgs({
    options: {
      issuer: { type: 'string' },
      handle: { type: 'string' },
      password: { type: 'string' },
      deny: { type: 'boolean', default: false },
      jwt: { type: 'boolean', default: false },
      // Real Chromium, with screenshots.
      screenshots: { type: 'string' },
      width: { type: 'string', default: '1280' },
      dark: { type: 'boolean', default: false },
      locale: { type: 'string' },
    },
  })
  for (const name of ['issuer', 'handle', 'password']) {
    if (!values[name]) throw new Error(`--${name} is required`)
  }
  return values
}

// The value of a hidden field on a page.
function hidden(page, name) {
  const value = new RegExp(`name="${name}" value="([^"]*)"`).exec(page.text)?.[1]
  if (!value) throw new Error(`a page without ${name} (${page.status}): ${page.text.slice(0, 500)}`)
  return value
}

// The user's browser: the code, the app's name, the sign-in at the PDS, consent.
async function throughBrowser(verificationUri, userCode, { handle, password, deny }) {
  const browser = new HttpAgent()
  const post = (path, fields) =>
    browser.send('POST', new URL(path, verificationUri).href, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(fields).toString(),
    })
  const form_token = hidden(await browser.send('GET', verificationUri), 'form_token')
  const question = await post('/device', { form_token, user_code: userCode })
  const named = question.text.includes('openid-client') && question.text.includes(userCode)
  const signIn = await post('/device/confirm', { form_token, user_code: userCode, decision: 'continue' })
  const toPds = await post('/oauth/sign-in', { request: hidden(signIn, 'request'), identifier: handle })
  if (!toPds.location) throw new Error(`the sign-in page responded with ${toPds.status}: ${toPds.text.slice(0, 500)}`)
  const callback = await signInAndDecide({ url: toPds.location, handle, password, decision: 'consent' })
  const toConsent = await browser.send('GET', callback)
  const consent = new URL(toConsent.location, callback)
  await browser.send('GET', consent.href)
  const request = consent.searchParams.get('request')
  const decided = await post('/oauth/consent', { request, decision: deny ? 'deny' : 'allow' })
  const done = await browser.send('GET', new URL(decided.location, verificationUri).href)
  return { named, done: done.status }
}

// The same in Chromium, with the address that includes the code; a wrong code first.
async function throughChromium(begun, { handle, password, deny, screenshots, width, dark, locale }) {
  const browser = await Journey.begin({ screenshots, width: Number(width), dark, locale })
  const { page } = browser
  const own = new Set([new URL(begun.verification_uri).origin])
  try {
    await browser.step('wrong-code', async () => {
      await page.goto(begun.verification_uri)
      await browser.screenshot('device')
      await submitField(page, 'user_code', 'bbbb bbbb')
      await page.locator('[data-testid="error"]').waitFor()
      await browser.screenshot('device-wrong-code')
    })
    await browser.step('code', async () => {
      await page.goto(begun.verification_uri_complete)
      const prefilled = await page.locator('input[name="user_code"]').inputValue()
      await submitField(page, 'user_code', prefilled)
      await page.locator('[data-testid="user-code"]').waitFor()
      await browser.screenshot('device-confirm')
    })
    const shown = await page.locator('main').innerText()
    await browser.step('confirm', async () => {
      await page.locator('button[value="continue"]').click()
      await page.locator('input[name="identifier"]').waitFor()
      await browser.screenshot('sign-in')
      await submitField(page, 'identifier', handle)
    })
    await authorizeAtPds(browser, { from: own, handle, password })
    await waitForConsentPage(browser, own)
    await decide(browser, deny ? 'deny' : 'allow')
    await browser.step('done', async () => {
      await until('the final page is shown', () => new URL(page.url()).pathname === '/device/done')
      await page.locator('h1').waitFor()
      await browser.screenshot('done')
    })
    // A wrong code is answered with 400, which Chromium reports.
    const complaints = browser.complaintsAbout(own).filter(({ text }) => !text.includes('400'))
    const named = shown.includes('openid-client') && shown.includes(begun.user_code)
    return { named, done: 200, complaints, screenshots: browser.screenshots }
  } finally {
    await browser.end()
  }
}

async function journey(options) {
  const { issuer, deny, jwt } = options
  const config = await client.dynamicClientRegistration(
    new URL(issuer),
    {
      client_name: 'openid-client',
      client_uri: 'https://device.example',
      grant_types: [GRANT, 'refresh_token'],
      response_types: [],
      token_endpoint_auth_method: 'none',
      access_token_format: jwt ? 'jwt' : 'opaque',
    },
    client.None(),
    { execute: [client.allowInsecureRequests] },
  )
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const begun = await client.initiateDeviceAuthorization(config, { scope: 'openid atproto transition:generic' })
  const polling = client.pollDeviceAuthorizationGrant(config, begun, undefined, { DPoP })
  const tokens = polling.then((tokens) => ({ tokens }), (error) => ({ error }))
  const seen = options.screenshots
    ? await throughChromium(begun, options)
    : await throughBrowser(begun.verification_uri, begun.user_code, options)
  const { tokens: granted, error } = await tokens
  if (deny) return { ...seen, refused: error?.error }
  if (error) throw error
  const { sub } = granted.claims()
  const userinfo = await client.fetchUserInfo(config, granted.access_token, sub, { DPoP })
  const refreshed = await client.refreshTokenGrant(config, granted.refresh_token, undefined, { DPoP })
  const session = await client.fetchProtectedResource(
    config, refreshed.access_token, new URL('/api/session', issuer), 'GET', null, undefined, { DPoP },
  )
  const spent = await client.pollDeviceAuthorizationGrant(config, begun, undefined, { DPoP }).then(
    () => 'granted', (error) => error.error,
  )
  return { ...seen, sub, userinfo, session: await session.json(), spent, parts: granted.access_token.split('.').length }
}

try {
  writeLine({ ok: true, ...(await journey(parseOptions())) })
} catch (error) {
  const cause = error.cause instanceof Response ? await error.cause.text().catch(() => undefined) : error.cause
  writeLine({ ok: false, error: error.message, code: error.code ?? error.error, cause: String(JSON.stringify(cause) ?? cause) })
  process.exitCode = 1
}
