// Import for effect: from then on this process resolves the names of lib/names.mjs, and those listed in
// REALNET_HOSTS ("name=127.0.0.1,other=127.0.0.1"), without /etc/hosts or DNS.
// net.connect uses the current dns.lookup at each call, so this affects every HTTP client in the process.
import dns from 'node:dns'
import { LOOPBACK, isOurs } from './names.mjs'

const listed = Object.fromEntries(
  (process.env.REALNET_HOSTS ?? '').split(',').flatMap((pair) => {
    const [name, address] = pair.split('=')
    return address ? [[name.toLowerCase(), address]] : []
  }),
)

const systemLookup = dns.lookup

dns.lookup = (hostname, ...rest) => {
  const name = String(hostname).toLowerCase()
  const address = listed[name] ?? (isOurs(name) ? LOOPBACK : undefined)
  if (!address) return systemLookup(hostname, ...rest)
  const callback = rest.pop()
  const wantsAll = typeof rest[0] === 'object' && rest[0]?.all
  setImmediate(() => (wantsAll ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4)))
}
