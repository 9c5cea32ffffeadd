#!/usr/bin/env node
// Installs node_modules of every PDS release as its package-lock.json says, all at once. Takes minutes the
// first time (better-sqlite3 is compiled) and no time when the stamp of the last successful install still matches.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { RELEASES, nodeOf } from './lib/releases.mjs'

const OLDEST_NODE = { '0.4': 20, '0.5': 22 }

// The compiled addon fits one module version of Node on one kind of machine, so these are part of the stamp. A
// packaged Node has its version in the lockfile.
function wantedStamp({ directory, packagedNode }) {
  const lock = createHash('sha256').update(readFileSync(join(directory, 'package-lock.json'))).digest('hex')
  const packaged = packagedNode && existsSync(packagedNode)
  const node = packaged ? 'packaged-node' : `modules-${process.versions.modules}`
  return `${lock} ${process.platform}-${process.arch} ${node}\n`
}

function headersIn(prefix) {
  const file = join(prefix, 'include/node/node_version.h')
  return existsSync(file) ? readFileSync(file, 'utf8').match(/#define NODE_MODULE_VERSION (\d+)/)?.[1] : undefined
}

// Where to find the headers of the Node that runs the release. Headers of another Node would compile and then crash.
function findHeaders({ packagedNode }) {
  if (packagedNode && existsSync(packagedNode)) return packagedNode
  const places = process.env.NODE_HEADERS ? [process.env.NODE_HEADERS] : ['/usr', dirname(dirname(process.execPath))]
  const found = places.find((prefix) => headersIn(prefix) === process.versions.modules)
  if (found) return found
  const seen = places.map((prefix) => {
    const version = headersIn(prefix)
    return `${prefix}/include/node: ${version ? `for module version ${version}` : 'not found'}`
  })
  throw new Error(
    `No C++ headers for Node ${process.version} (module version ${process.versions.modules}).\n` +
      seen.map((line) => `  ${line}\n`).join('') +
      'Install them (Debian: apt-get install libnode-dev; a Node from nodejs.org has its own), ' +
      'or set NODE_HEADERS to the directory that holds include/node.',
  )
}

// Output goes to stderr, so that stdout stays free for the caller.
function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 2, 2], ...options })
    child.once('error', (error) => reject(new Error(`${program}: ${error.message}`)))
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${program} ${args.join(' ')} ended with code ${code}`))))
  })
}

async function install(name, { directory, packagedNode }) {
  // npm's warnings about engines concern the Node that runs npm.
  await run('npm', ['ci', '--ignore-scripts', '--loglevel=error'], { cwd: directory })
  const node = nodeOf({ packagedNode })
  if (node === process.execPath && Number(process.versions.node.split('.')[0]) < OLDEST_NODE[name]) {
    throw new Error(`needs Node ${OLDEST_NODE[name]} or later here (this is ${process.version})`)
  }
  const env = {
    ...process.env,
    PATH: [dirname(node), process.env.PATH].join(delimiter),
    npm_config_nodedir: findHeaders({ packagedNode }),
    // Offline there is no prebuilt binary; requesting a build right away saves the failing attempt.
    npm_config_build_from_source: 'true',
    // These override the -O3 of SQLite's build, which takes three times as long. The tests' databases are small.
    CFLAGS: '-O1',
    CXXFLAGS: '-O1',
  }
  await run('npm', ['rebuild', 'better-sqlite3', '--loglevel=error'], { cwd: directory, env })
  const tryIt = "new (require('better-sqlite3'))(':memory:').close()"
  await run(node, ['-e', tryIt], { cwd: directory })
}

async function bringUpToDate([name, release]) {
  const stampFile = join(release.directory, 'node_modules/.installed')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wantedStamp(release)) {
    console.error(`realnet: PDS ${name} is up to date`)
    return
  }
  console.error(`realnet: installing PDS ${name}; better-sqlite3 is compiled, which takes a minute or two`)
  await install(name, release)
  writeFileSync(stampFile, wantedStamp(release))
  console.error(`realnet: installed PDS ${name}`)
}

const outcomes = await Promise.allSettled(
  Object.entries(RELEASES).map((entry) =>
    bringUpToDate(entry).catch((error) => {
      throw new Error(`PDS ${entry[0]}: ${error.message} (compiling needs g++, make and python3)`)
    }),
  ),
)
for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
  console.error(`realnet: ${reason.message}`)
  process.exitCode = 1
}
