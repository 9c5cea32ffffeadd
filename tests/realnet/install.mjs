#!/usr/bin/env node
// Brings node_modules to the state of package-lock.json. Costs minutes the first time (better-sqlite3
// is compiled) and nothing when the stamp of the last good install still fits.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const here = import.meta.dirname
const stampFile = join(here, 'node_modules', '.installed')

// The compiled addon fits one module version of Node on one kind of machine, so these count as well.
function wantedStamp() {
  const lock = createHash('sha256').update(readFileSync(join(here, 'package-lock.json'))).digest('hex')
  return `${lock} ${process.platform}-${process.arch} modules-${process.versions.modules}\n`
}

function headersIn(prefix) {
  const file = join(prefix, 'include/node/node_version.h')
  return existsSync(file) ? readFileSync(file, 'utf8').match(/#define NODE_MODULE_VERSION (\d+)/)?.[1] : undefined
}

// Where the headers of the running Node lie. Headers of another Node would compile and then crash.
function findHeaders() {
  const places = process.env.NODE_HEADERS ? [process.env.NODE_HEADERS] : ['/usr', dirname(dirname(process.execPath))]
  const found = places.find((prefix) => headersIn(prefix) === process.versions.modules)
  if (found) return found
  const seen = places.map((prefix) => {
    const version = headersIn(prefix)
    return `${prefix}/include/node: ${version ? `for module version ${version}` : 'not there'}`
  })
  throw new Error(
    `No C++ headers for Node ${process.version} (module version ${process.versions.modules}).\n` +
      seen.map((line) => `  ${line}\n`).join('') +
      'Install them (Debian: apt-get install libnode-dev; a Node from nodejs.org has its own), ' +
      'or set NODE_HEADERS to the directory that holds include/node.',
  )
}

function npmCi(headers) {
  // There is no prebuilt binary to be had offline; asking for a build at once saves the failing try.
  const env = { ...process.env, npm_config_nodedir: headers, npm_config_build_from_source: 'true' }
  // npm's own output goes to stderr, so that stdout stays free for whoever calls us.
  const { status, error } = spawnSync('npm', ['ci'], { cwd: here, env, stdio: ['ignore', 2, 2] })
  if (error) throw new Error(`npm: ${error.message}`)
  if (status !== 0) throw new Error(`npm ci ended with code ${status}; compiling needs g++, make and python3`)
}

function tryAddon() {
  const Database = createRequire(join(here, 'package.json'))('better-sqlite3')
  new Database(':memory:').close()
}

try {
  const stamp = wantedStamp()
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    console.error('realnet: node_modules is up to date')
  } else {
    npmCi(findHeaders())
    tryAddon()
    writeFileSync(stampFile, stamp)
    console.error('realnet: installed')
  }
} catch (error) {
  console.error(`realnet: ${error.message}`)
  process.exitCode = 1
}
