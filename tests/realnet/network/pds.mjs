// One official PDS with its OAuth server, and access to the internals that tests control.
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { loadFrom } from '../lib/releases.mjs'
import { reserve, serve } from './listen.mjs'

const secret = (bytes) => randomBytes(bytes).toString('hex')

export async function startPds({ index, port, origin, certificates, strict, data, packages, plcUrl, directoryUrl }) {
  const pdsPackage = await loadFrom(packages, '@atproto/pds')
  const reserved = await reserve(port)
  const url = origin(`pds${index}`, reserved.port)
  const { hostname } = new URL(url)
  const directory = join(data, `pds${index}`)
  const blobs = join(directory, 'blobs')
  mkdirSync(blobs, { recursive: true })

  // The values that the PDS' own start script reads from PDS_* variables.
  const settings = {
    port: reserved.port,
    hostname,
    // Without the port all PDSes on localhost would have one DID.
    serviceDid: `did:web:${hostname}%3A${reserved.port}`,
    serviceName: `Realnet PDS ${index}`,
    devMode: !strict, // lets the PDS have an http URL
    disableSsrfProtection: true, // clients' metadata is on loopback
    rateLimitsEnabled: false,
    inviteRequired: false,
    serviceHandleDomains: ['.test'],
    dataDirectory: directory,
    blobstoreDiskLocation: blobs,
    blobstoreDiskTmpLocation: join(directory, 'blobs-tmp'),
    didPlcUrl: plcUrl,
    // There is no AppView: its methods get a 404 from the directory.
    bskyAppViewUrl: directoryUrl,
    bskyAppViewDid: 'did:web:directory.realnet.internal',
    jwtSecret: secret(16),
    dpopSecret: secret(32),
    adminPassword: secret(8),
    plcRotationKeyK256PrivateKeyHex: secret(32),
  }
  const config = pdsPackage.envToCfg(settings)
  // No setting says "https with a port".
  config.service.publicUrl = url
  config.oauth.issuer = url

  const pds = await pdsPackage.PDS.create(config, pdsPackage.envToSecrets(settings))
  // By default the server would listen on every interface.
  pds.app.listen = () => serve(reserved, pds.app, certificates)
  await pds.start()

  return {
    index,
    url,
    did: settings.serviceDid,
    adminPassword: settings.adminPassword,
    close: () => pds.destroy(),
    ...insides(pds.ctx),
  }
}

function insides({ oauthProvider, accountManager, plcClient, plcRotationKey }) {
  const { tokenManager, dpopManager, clientManager } = oauthProvider
  const sessions = accountManager.db.db
  return {
    findAccount: (handleOrDid) => accountManager.getAccount(handleOrDid),

    setTokenMaxAge(seconds) {
      tokenManager.tokenMaxAge = seconds * 1000
    },

    // A new secret invalidates every existing nonce at once.
    replaceDpopNonces(rotationMs) {
      const DpopNonce = dpopManager.dpopNonce.constructor
      dpopManager.dpopNonce = new DpopNonce(randomBytes(32), rotationMs)
    },

    // Client metadata and key sets are otherwise cached for ten minutes.
    forgetClients: forgetful([clientManager.metadataGetter, clientManager.jwks]),

    // Moves OAuth sessions into the past; returns how many.
    async ageSessions(seconds, did) {
      const earlier = (time) => new Date(Date.parse(time) - seconds * 1000).toISOString()
      const all = sessions.selectFrom('token').select(['id', 'createdAt', 'updatedAt'])
      const rows = await (did ? all.where('did', '=', did) : all).execute()
      for (const { id, createdAt, updatedAt } of rows) {
        const times = { createdAt: earlier(createdAt), updatedAt: earlier(updatedAt) }
        await sessions.updateTable('token').set(times).where('id', '=', id).execute()
      }
      return rows.length
    },

    // A signed PLC operation that replaces parts of an account's DID document.
    updateDid: (did, { alsoKnownAs, endpoint }) =>
      plcClient.updateData(did, plcRotationKey, (last) => ({
        ...last,
        ...(alsoKnownAs && { alsoKnownAs }),
        ...(endpoint && {
          services: { ...last.services, atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint } },
        }),
      })),
  }
}

// Makes caches refetch on request: the returned function makes them fetch each value again, once. The cached values
// themselves are not accessible.
function forgetful(getters) {
  let generation = 0
  for (const getter of getters) {
    const get = getter.get.bind(getter)
    const fetchedIn = new Map()
    getter.get = async (key, options) => {
      const noCache = (fetchedIn.get(key) ?? 0) < generation
      const value = await get(key, { ...options, ...(noCache && { noCache }) })
      fetchedIn.set(key, generation)
      return value
    }
  }
  return () => void generation++
}
