#!/usr/bin/env node
// An MCP server on loopback by the TypeScript SDK, with the SDK's own authorization server: sessions and streams of revision
// 2025-11-25 at /mcp, and with --modern revision 2026-07-28, without sessions. Prints one JSON line when it is ready, and ends
// with its stdin. --ttl is the lifetime of access tokens in seconds.
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { McpServer as ModernServer, createMcpHandler } from '@modelcontextprotocol/server'
import express from 'express'

const { values } = parseArgs({ options: { modern: { type: 'boolean' }, ttl: { type: 'string', default: '3600' } } })

// Like the example's, and with refresh tokens that work once.
class Provider extends DemoInMemoryAuthProvider {
  refreshTokens = new Map()
  refreshes = 0

  issue(clientId, scopes, resource) {
    const [access_token, refresh_token] = [randomUUID(), randomUUID()]
    const expiresAt = Date.now() + Number(values.ttl) * 1000
    this.tokens.set(access_token, { token: access_token, clientId, scopes, expiresAt, resource, type: 'access' })
    this.refreshTokens.set(refresh_token, { clientId, scopes, resource })
    return { access_token, refresh_token, token_type: 'bearer', expires_in: Number(values.ttl), scope: scopes.join(' ') }
  }

  async exchangeAuthorizationCode(client, code) {
    const { params } = this.codes.get(code)
    this.codes.delete(code)
    return this.issue(client.client_id, params.scopes ?? [], params.resource)
  }

  async exchangeRefreshToken(client, token) {
    const found = this.refreshTokens.get(token)
    if (found?.clientId !== client.client_id) throw new Error('unknown refresh token')
    this.refreshTokens.delete(token)
    this.refreshes += 1
    return this.issue(client.client_id, found.scopes, found.resource)
  }
}

function withTools(server) {
  server.registerTool('echo', { description: 'Repeats a text' }, async (...given) => {
    const extra = given.at(-1)
    const token = extra.authInfo?.token ?? extra.http?.authInfo?.token
    return { content: [{ type: 'text', text: token ? 'echo, with a token' : 'echo' }] }
  })
  server.registerTool('slow', { description: 'Says so in two steps' }, async (...given) => {
    const extra = given.at(-1)
    await extra.sendNotification?.({ method: 'notifications/message', params: { level: 'info', data: 'begun' } })
    return { content: [{ type: 'text', text: 'done' }] }
  })
  return server
}

const app = express()
const listener = app.listen(0, '127.0.0.1', () => {
  const origin = `http://127.0.0.1:${listener.address().port}`
  const mcpUrl = new URL(`${origin}/mcp`)
  const provider = new Provider()
  app.use((req, _res, next) => {
    seen.push({ method: req.method, path: req.path, authorization: req.headers.authorization, cookie: req.headers.cookie })
    next()
  })
  app.use(
    mcpAuthRouter({
      provider,
      issuerUrl: new URL(origin),
      resourceServerUrl: mcpUrl,
      scopesSupported: ['mcp:tools'],
      clientRegistrationOptions: { rateLimit: false },
      authorizationOptions: { rateLimit: false },
      tokenOptions: { rateLimit: false },
    }),
  )
  app.get('/seen', (_req, res) => res.json({ seen, refreshes: provider.refreshes }))
  const auth = requireBearerAuth({
    verifier: provider,
    requiredScopes: [],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(mcpUrl),
  })
  app.all('/mcp', (req, res, next) => auth(req, res, next), express.json({ limit: '8mb' }), values.modern ? modern : legacy)
  process.stdout.write(`${JSON.stringify({ url: mcpUrl.href, origin })}\n`)
})
const seen = []

const transports = new Map()
async function legacy(req, res) {
  const known = transports.get(req.headers['mcp-session-id'])
  if (known) return known.handleRequest(req, res, req.body)
  if (req.method !== 'POST' || req.body?.method !== 'initialize') return res.status(404).json({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } })
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => transports.set(id, transport),
    onsessionclosed: (id) => transports.delete(id),
  })
  await withTools(new McpServer({ name: 'legacy', version: '1' }, { capabilities: { logging: {} } })).connect(transport)
  await transport.handleRequest(req, res, req.body)
}

const handler = createMcpHandler(() => withTools(new ModernServer({ name: 'modern', version: '1' })))
async function modern(req, res) {
  const headers = new Headers(Object.entries(req.headers).filter(([, value]) => typeof value === 'string'))
  const request = new Request(`http://${req.headers.host}${req.originalUrl}`, {
    method: req.method,
    headers,
    body: req.method === 'POST' ? JSON.stringify(req.body) : undefined,
  })
  const response = await handler.fetch(request, { authInfo: req.auth, parsedBody: req.body })
  res.status(response.status)
  response.headers.forEach((value, name) => res.setHeader(name, value))
  if (response.body) for await (const part of response.body) res.write(part)
  res.end()
}

process.stdin.resume().on('end', () => process.exit(0))
