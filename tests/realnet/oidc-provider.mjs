#!/usr/bin/env node
// A stock OpenID Connect provider, node-oidc-provider, on loopback: with PKCE, `iss` in its answers (RFC 9207), and refresh
// tokens that work once. Its only user signs in and consents by visiting. Prints one JSON line when it is ready, and ends
// with its stdin. See README.md.
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import Provider from 'oidc-provider'
import { writeLine } from './lib/json-lines.mjs'

// The package's notices: stdout is for one line, and nobody reads it afterwards.
console.log = console.info = console.error

const { values } = parseArgs({
  options: {
    'client-id': { type: 'string' },
    'client-secret': { type: 'string' },
    'redirect-uri': { type: 'string' },
  },
})

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: values['client-id'],
      client_secret: values['client-secret'],
      redirect_uris: [values['redirect-uri']],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    },
  ],
  cookies: { keys: ['a key for tests'] },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: 'Real User' }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  ttl: { AccessToken: 3600, RefreshToken: 86400 },
})

// Signs the user in, or consents for them, whichever the provider asks for.
async function answer(req, res) {
  const { prompt, params, session } = await provider.interactionDetails(req, res)
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: 'real-user' } })
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  grant.addOIDCScope(params.scope)
  const consent = { grantId: await grant.save() }
  return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true })
}

const handle = provider.callback()
server.on('request', (req, res) => {
  if (!req.url.startsWith('/interaction/')) return handle(req, res)
  answer(req, res).catch((error) => {
    res.statusCode = 500
    res.end(String(error))
  })
})

writeLine({ issuer })
process.stdin.resume()
process.stdin.once('end', () => process.exit(0))
