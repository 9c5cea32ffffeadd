// Listening sockets, on loopback only.
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { LOOPBACK } from '../lib/names.mjs'

// Binds a port (0: any free one) before its server exists: a PDS has to know its own URL when it is
// created. The socket stays ours from here on, so parallel networks cannot collide.
export async function reserve(port) {
  const socket = net.createServer()
  await new Promise((resolve, reject) => socket.once('error', reject).listen(port, LOOPBACK, resolve))
  return { socket, port: socket.address().port }
}

// Serves `app` on a reserved socket; https when there are certificates. Returns the http.Server.
export function serve({ socket }, app, certificates) {
  const server = certificates
    ? https.createServer({ cert: certificates.cert, key: certificates.key }, app)
    : http.createServer(app)
  return server.listen(socket)
}
