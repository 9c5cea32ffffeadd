// The process that runs the whole network; a child of start.mjs, which reads the one message it sends.
// It lives as long as the channel to its parent, and deletes the data directory when it ends.
import { rmSync } from 'node:fs'
import { sharedCertificates } from '../lib/certificates.mjs'
import '../lib/resolve-names.mjs'
import { createAccounts } from './accounts.mjs'
import { startDirectory } from './directory.mjs'
import { startPds } from './pds.mjs'
import { startPlc } from './plc.mjs'

const STOP_DEADLINE_MS = 6000

const settings = JSON.parse(process.argv[2])
const { data, packages, tls } = settings
const running = []
let stopping = false

async function stop(code) {
  if (stopping) return
  stopping = true
  // A server that does not close must not keep the directory or this process alive.
  setTimeout(() => leave(1), STOP_DEADLINE_MS)
  for (const part of running.reverse()) {
    await part.close().catch((error) => console.error('realnet: stopping:', error))
  }
  leave(code)
}

function leave(code) {
  rmSync(data, { recursive: true, force: true, maxRetries: 3 })
  process.exit(code)
}

process.on('disconnect', () => stop(0))
// Ctrl-C reaches the whole process group; the parent decides.
for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {})
process.on('SIGTERM', () => stop(0))

async function start() {
  const certificates = tls ? sharedCertificates(settings.tlsDir) : undefined
  const origin = (name, port) => (tls ? `https://${name}.realnet.internal:${port}` : `http://localhost:${port}`)
  const portAt = (offset) => (settings.port ? settings.port + offset : 0)
  const common = { origin, certificates, packages }
  const started = (part) => {
    running.push(part)
    return part
  }

  const plc = started(await startPlc({ ...common, port: portAt(0) }))
  const pdses = []
  const directory = started(await startDirectory({ ...common, port: portAt(1), pdses }))
  for (let index = 1; index <= settings.pds; index++) {
    const pds = await startPds({
      ...common, index, port: portAt(1 + index), strict: settings.strict, data, plcUrl: plc.url, directoryUrl: directory.url,
    })
    pdses.push(started(pds))
    if (settings.tokenMaxAge) pds.setTokenMaxAge(settings.tokenMaxAge)
    if (settings.dpopRotation) pds.replaceDpopNonces(settings.dpopRotation)
  }
  const accounts = await createAccounts(pdses)
  process.send({
    plc: plc.url,
    directory: directory.url,
    handleResolver: directory.url,
    pds: pdses.map(({ url, did, adminPassword }) => ({ url, did, adminPassword })),
    accounts,
  })
}

try {
  await start()
} catch (error) {
  console.error('realnet: the network did not start:', error)
  stop(1)
}
