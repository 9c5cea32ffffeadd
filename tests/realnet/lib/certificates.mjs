// A throw-away certificate authority with one leaf for every name of the test network, made with the
// openssl command line. Processes that use the same directory share it, even when they race.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DOMAINS, LOOPBACK } from './names.mjs'

const names = ['localhost', ...DOMAINS.flatMap((domain) => [domain, `*.${domain}`])]

const CONFIG = `
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${names.map((name) => `DNS:${name}`).join(', ')}, IP:${LOOPBACK}
`

// Returns { caFile, cert, key }.
export function sharedCertificates(dir) {
  const final = join(dir, 'authority')
  if (!existsSync(final)) create(dir, final)
  const file = (name) => join(final, name)
  return { caFile: file('ca.pem'), cert: readFileSync(file('leaf.pem')), key: readFileSync(file('leaf.key')) }
}

// Everything is created beside the directory and moved into place in one step: no process sees a partial authority,
// and of several the first one's stays.
function create(dir, final) {
  mkdirSync(dir, { recursive: true })
  const draft = mkdtempSync(join(dir, 'draft-'))
  try {
    issue(draft)
    renameSync(draft, final)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function issue(cwd) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  writeFileSync(join(cwd, 'openssl.cnf'), CONFIG)
  const selfSigned = [
    'req', '-x509', '-config', 'openssl.cnf', '-days', '3650', '-nodes',
    '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
  ]
  openssl(...selfSigned, '-extensions', 'authority', '-subj', '/CN=Causeway realnet CA', '-keyout', 'ca.key', '-out', 'ca.pem')
  openssl(
    ...selfSigned, '-extensions', 'leaf', '-subj', '/CN=Causeway realnet', '-CA', 'ca.pem', '-CAkey', 'ca.key',
    '-keyout', 'leaf.key', '-out', 'leaf.pem',
  )
  // Trusting this authority means trusting these two certificates and no others.
  rmSync(join(cwd, 'ca.key'))
}
