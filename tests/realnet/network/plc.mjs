// The DID registry: the official PLC server with its in-memory database.
import { loadFrom } from '../lib/releases.mjs'
import { reserve, serve } from './listen.mjs'

export async function startPlc({ port, origin, certificates, packages }) {
  const plc = await loadFrom(packages, '@did-plc/server')
  const reserved = await reserve(port)
  const server = plc.PlcServer.create({ db: new plc.MockDatabase() })
  // By default the server would listen on every interface.
  server.app.listen = () => serve(reserved, server.app, certificates)
  await server.start()
  return { url: origin('plc', reserved.port), close: () => server.destroy() }
}
