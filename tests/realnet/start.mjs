#!/usr/bin/env node
// Starts the network and prints one JSON line when it is ready. See README.md.
// The network itself runs in a child process, because Node reads NODE_EXTRA_CA_CERTS only when it starts.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sharedCertificates } from './lib/certificates.mjs'
import { writeLine } from './lib/json-lines.mjs'
import { onEndOfLife } from './lib/lifetime.mjs'
import { nodeOf, release } from './lib/releases.mjs'

const KILL_AFTER_MS = 8000

function parseOptions() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      pds: { type: 'string', default: '2' },
      release: { type: 'string', default: '0.4' },
      tls: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      'tls-dir': { type: 'string' },
      ca: { type: 'string', multiple: true, default: [] },
      host: { type: 'string', multiple: true, default: [] },
      'token-max-age': { type: 'string' },
      'dpop-rotation': { type: 'string' },
    },
  })
  const number = (name, least) => {
    if (values[name] === undefined) return undefined
    const value = Number(values[name])
    if (!(value >= least)) throw new Error(`--${name} must be a number of at least ${least}`)
    return value
  }
  if (values.strict && !values.tls) throw new Error('--strict requires --tls: outside its dev mode a PDS insists on https')
  return {
    ...values,
    release: release(values.release),
    port: number('port', 0),
    pds: number('pds', 1),
    tokenMaxAge: number('token-max-age', 1),
    dpopRotation: number('dpop-rotation', 1000),
  }
}

function startNetwork(options) {
  const data = mkdtempSync(join(tmpdir(), 'causeway-realnet-'))
  const cleanUp = () => rmSync(data, { recursive: true, force: true, maxRetries: 3 })
  // Also when anything below fails.
  process.once('exit', cleanUp)

  const tlsDir = options['tls-dir'] ?? join(data, 'tls')
  const { caFile } = sharedCertificates(tlsDir)
  const trusted = join(data, 'trusted.pem')
  writeFileSync(trusted, [caFile, ...options.ca].map((file) => readFileSync(file, 'utf8')).join('\n'))
  const log = join(data, 'network.log')

  const { port, pds, tls, strict, tokenMaxAge, dpopRotation, release } = options
  const packages = release.directory
  const settings = { port, pds, tls, strict, tokenMaxAge, dpopRotation, tlsDir, data, packages }
  const child = spawn(nodeOf(release), [join(import.meta.dirname, 'network/main.mjs'), JSON.stringify(settings)], {
    // Our stdout carries the one line and nothing else.
    stdio: ['ignore', 2, 2, 'ipc'],
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: trusted,
      REALNET_HOSTS: options.host.join(','),
      LOG_ENABLED: 'true',
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'info',
      LOG_DESTINATION: log,
    },
  })

  child.once('message', (network) => writeLine({ ready: true, pid: process.pid, ...network, ca: caFile, log, data }))

  let asked = false
  onEndOfLife(() => {
    asked = true
    if (child.connected) child.disconnect()
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref()
  })
  child.once('exit', (code) => process.exit(asked && code === 0 ? 0 : 1))
}

try {
  startNetwork(parseOptions())
} catch (error) {
  console.error(`realnet: ${error.message}`)
  process.exit(1)
}
