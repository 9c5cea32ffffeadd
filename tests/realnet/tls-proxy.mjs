#!/usr/bin/env node
// A TLS-terminating reverse proxy on loopback, like one in front of Causeway in production. See README.md.
import http from 'node:http'
import https from 'node:https'
import { pipeline } from 'node:stream'
import { parseArgs } from 'node:util'
import { sharedCertificates } from './lib/certificates.mjs'
import { readLines, writeLine } from './lib/json-lines.mjs'
import { onEndOfLife } from './lib/lifetime.mjs'
import { LOOPBACK, isOurs } from './lib/names.mjs'

// They concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']

function parseOptions() {
  const { values } = parseArgs({
    options: {
      name: { type: 'string', default: 'causeway.realnet.internal' },
      listen: { type: 'string', default: '0' },
      to: { type: 'string' },
      'tls-dir': { type: 'string' },
    },
  })
  if (!values['tls-dir']) throw new Error('--tls-dir is required: the network must trust the same CA')
  if (!isOurs(values.name)) throw new Error(`the certificate does not cover ${values.name}`)
  return { ...values, target: values.to && parseTarget(values.to) }
}

function parseTarget(text) {
  const [, host, port] = String(text).match(/^([^:]+):(\d+)$/) ?? []
  if (!port) throw new Error(`a target is HOST:PORT, not "${text}"`)
  return { host, port: Number(port) }
}

function endToEnd(headersDistinct) {
  return Object.fromEntries(Object.entries(headersDistinct).filter(([name]) => !HOP_BY_HOP.includes(name)))
}

function forward(req, res, { target, blocked }) {
  const fail = (message) => {
    if (res.headersSent) res.destroy()
    else res.writeHead(502, { 'content-type': 'text/plain' }).end(`tls-proxy: ${message}\n`)
  }
  if (!target) return fail('no target yet')
  if (req.url.split('?')[0] === blocked) return res.writeHead(403, { 'content-type': 'text/plain' }).end('blocked\n')

  const forwardedFor = [...(req.headersDistinct['x-forwarded-for'] ?? []), req.socket.remoteAddress]
  const upstream = http.request({
    ...target,
    // A pooled connection could lead to a server that has been restarted since.
    agent: false,
    method: req.method,
    path: req.url,
    headers: {
      ...endToEnd(req.headersDistinct),
      host: req.headers.host,
      'x-forwarded-for': forwardedFor.join(', '),
      'x-forwarded-proto': 'https',
    },
  })
  upstream.once('error', (error) => fail(error.message))
  upstream.once('response', (response) => {
    res.writeHead(response.statusCode, response.statusMessage, endToEnd(response.headersDistinct))
    // A response that breaks off must break off for the client too.
    pipeline(response, res, () => {})
  })
  // When a client hangs up, the connection to the server behind the proxy closes too, as with any proxy.
  res.once('close', () => res.writableFinished || upstream.destroy())
  pipeline(req, upstream, () => {})
}

try {
  const { name, listen, target: firstTarget, 'tls-dir': tlsDir } = parseOptions()
  const front = { target: firstTarget, blocked: undefined }
  const { cert, key, caFile } = sharedCertificates(tlsDir)

  const server = https.createServer({ cert, key }, (req, res) => forward(req, res, front))
  server.once('error', (error) => {
    console.error(`tls-proxy: ${error.message}`)
    process.exit(1)
  })
  server.listen(Number(listen), LOOPBACK, () => {
    const { port } = server.address()
    writeLine({ ready: true, url: `https://${name}:${port}`, port, ca: caFile })
  })

  readLines({
    onValue: ({ to, block }) => {
      try {
        if (to) front.target = parseTarget(to)
        front.blocked = block
        writeLine({ to, block })
      } catch (error) {
        writeLine({ error: error.message })
      }
    },
    onBroken: (error) => writeLine({ error: error.message }),
  })
  onEndOfLife(() => process.exit(0))
} catch (error) {
  console.error(`tls-proxy: ${error.message}`)
  process.exit(1)
}
