#!/usr/bin/env node
// A stock client, openid-client, runs a whole journey: registration, PAR, sign-in, tokens, userinfo, refresh,
// revocation, logout, with private_key_jwt and DPoP. Prints one JSON line. See README.md.
import { parseArgs } from 'node:util'
import * as client from 'openid-client'
import { HttpAgent } from './lib/http-agent.mjs'
import { writeLine } from './lib/json-lines.mjs'
import { signInAndDecide } from './lib/pds-sign-in.mjs'

const REDIRECT_URI = 'http://127.0.0.1:49152/callback'
const LOGGED_OUT_URI = 'https://app.example/logged-out'

function parseOptions() {
  const { values } = parseArgs({
    options: {
      issuer: { type: 'string' },
      handle: { type: 'string' },
      password: { type: 'string' },
      alg: { type: 'string', default: 'ES256' },
      nonce: { type: 'boolean', default: false },
    },
  })
  for (const name of ['issuer', 'handle', 'password']) {
    if (!values[name]) throw new Error(`--${name} is required`)
  }
  return values
}

// The user's browser: Causeway's pages through their forms, the PDS' pages through their requests.
async function throughBrowser(browser, start, { handle, password }) {
  // The client registered itself, so a page names its host first; one click continues.
  const named = await browser.send('GET', start)
  const request = /name="request" value="([^"]+)"/.exec(named.text)?.[1]
  if (!request) throw new Error(`the authorization endpoint responded with ${named.status}: ${named.text.slice(0, 500)}`)
  const toPds = await browser.send('POST', new URL('/oauth/sign-in', start).href, {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ request, identifier: handle }).toString(),
  })
  if (!toPds.location) throw new Error(`the sign-in page responded with ${toPds.status}: ${toPds.text.slice(0, 500)}`)
  const callback = await signInAndDecide({ url: toPds.location, handle, password, decision: 'consent' })
  const toConsent = await browser.send('GET', callback)
  if (!toConsent.location) throw new Error(`the callback responded with ${toConsent.status}: ${toConsent.text.slice(0, 500)}`)
  const consent = new URL(toConsent.location, callback)
  await browser.send('GET', consent.href)
  const decided = await browser.send('POST', new URL('/oauth/consent', consent).href, {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ request: consent.searchParams.get('request'), decision: 'allow' }).toString(),
  })
  if (!decided.location) throw new Error(`consent responded with ${decided.status}: ${decided.text.slice(0, 500)}`)
  return new URL(decided.location)
}

// From the client's page to the logout, twice, like a double click: returns where the browser ends up each time.
async function logOut(browser, config, tokens) {
  const url = client.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: LOGGED_OUT_URI,
    state: 'a b',
  })
  const [first, second] = [await browser.send('GET', url.href), await browser.send('GET', url.href)]
  const stranger = await new HttpAgent().send('GET', url.href)
  return { first: first.location, second: second.location, stranger: stranger.location ?? stranger.status }
}

async function keyOf(alg) {
  const pair = await client.randomDPoPKeyPair(alg, { extractable: true })
  const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  return { pair, jwk: { kty, crv, x, y, n, e, kid: 'k1', use: 'sig' } }
}

async function journey({ issuer, handle, password, alg, nonce }) {
  const signing = await keyOf(alg)
  const config = await client.dynamicClientRegistration(
    new URL(issuer),
    {
      client_name: 'openid-client',
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [LOGGED_OUT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [signing.jwk] },
      dpop_bound_access_tokens: true,
      dpop_nonce_policy: nonce ? 'required' : 'off',
    },
    client.PrivateKeyJwt({ key: signing.pair.privateKey, kid: 'k1' }),
    { execute: [client.allowInsecureRequests] },
  )
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg))
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const expectedNonce = client.randomNonce()
  const start = await client.buildAuthorizationUrlWithPAR(
    config,
    {
      redirect_uri: REDIRECT_URI,
      scope: 'openid atproto transition:generic',
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      login_hint: handle,
      nonce: expectedNonce,
      state,
    },
    { DPoP },
  )
  const browser = new HttpAgent()
  const answer = await throughBrowser(browser, start.href, { handle, password })
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce, idTokenExpected: true }
  const tokens = await client.authorizationCodeGrant(config, answer, checks, undefined, { DPoP })
  const { sub } = tokens.claims()
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  const session = await client.fetchProtectedResource(
    config, refreshed.access_token, new URL('/api/session', issuer), 'GET', null, undefined, { DPoP },
  )
  // A thief of the token lacks the key: as a bearer token it is worthless.
  const stolen = await fetch(new URL('/oauth/userinfo', issuer), {
    headers: { authorization: `Bearer ${refreshed.access_token}` },
  })
  const left = await logOut(browser, config, tokens)
  const over = await client.refreshTokenGrant(config, refreshed.refresh_token, undefined, { DPoP }).then(
    () => 'refreshed', (error) => error.error,
  )
  // The token is already revoked, which is not an error (RFC 7009 section 2.2).
  await client.tokenRevocation(config, refreshed.refresh_token)
  return {
    token_type: tokens.token_type,
    sub,
    userinfo,
    session: await session.json(),
    stolen: stolen.status,
    over,
    left,
  }
}

try {
  writeLine({ ok: true, ...(await journey(parseOptions())) })
} catch (error) {
  const cause = error.cause instanceof Response ? await error.cause.text().catch(() => undefined) : error.cause
  writeLine({ ok: false, error: error.message, code: error.code ?? error.error, cause: String(JSON.stringify(cause) ?? cause) })
  process.exitCode = 1
}
