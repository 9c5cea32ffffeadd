// Resolves handles for the whole network (each PDS alone knows only its own; there is no DNS here) and
// accepts the control commands.
import { reserve, serve } from './listen.mjs'
import { controlsFor } from './controls.mjs'

export async function startDirectory({ port, origin, certificates, pdses }) {
  const reserved = await reserve(port)
  const controls = controlsFor(pdses)

  const answer = async (req) => {
    const { pathname, searchParams } = new URL(req.url, 'http://directory')
    if (req.method === 'GET' && pathname === '/xrpc/com.atproto.identity.resolveHandle') {
      const did = await resolve(pdses, searchParams.get('handle') ?? '')
      return did
        ? { status: 200, body: { did } }
        : { status: 400, body: { error: 'InvalidRequest', message: 'Unable to resolve handle' } }
    }
    const control = req.method === 'POST' && pathname.startsWith('/control/') && pathname.slice('/control/'.length)
    if (control && Object.hasOwn(controls, control)) {
      return { status: 200, body: await controls[control](await readJson(req)) }
    }
    return { status: 404, body: { error: 'NotFound', message: `${req.method} ${pathname}` } }
  }

  const server = serve(reserved, (req, res) => {
    answer(req)
      .catch((error) => ({
        status: error.status ?? 500,
        body: { error: error.status ? 'InvalidRequest' : 'InternalServerError', message: String(error.message) },
      }))
      .then(({ status, body }) => {
        res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      })
  }, certificates)

  return {
    url: origin('directory', reserved.port),
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function resolve(pdses, handle) {
  for (const pds of pdses) {
    const account = await pds.findAccount(handle.toLowerCase())
    if (account) return account.did
  }
  return undefined
}

async function readJson(req) {
  let text = ''
  for await (const chunk of req.setEncoding('utf8')) text += chunk
  try {
    return JSON.parse(text || '{}')
  } catch {
    throw Object.assign(new Error('the body is not JSON'), { status: 400 })
  }
}
