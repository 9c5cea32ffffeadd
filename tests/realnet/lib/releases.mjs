// The releases of the PDS that a network can run: where their packages are, and the Node that runs them.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const top = dirname(import.meta.dirname)

// `packagedNode` is a Node from npm, with its own C++ headers, where there is one for this kind of machine.
export const RELEASES = {
  '0.4': { directory: top },
  '0.5': {
    directory: join(top, 'pds-0.5'),
    packagedNode: join(top, 'pds-0.5/node_modules', `node-${process.platform}-${process.arch}`),
  },
}

export function release(name) {
  const found = RELEASES[name]
  if (!found) throw new Error(`PDS release ${name} is not available, only ${Object.keys(RELEASES).join(' and ')}`)
  return found
}

// The `node` that runs a release, once it is installed.
export function nodeOf({ packagedNode }) {
  const packaged = packagedNode && join(packagedNode, 'bin/node')
  return packaged && existsSync(packaged) ? packaged : process.execPath
}

// What a package of a release exports, whether it is an ES module or a CommonJS one.
export async function loadFrom(directory, name) {
  const file = createRequire(join(directory, 'package.json')).resolve(name)
  const module = await import(pathToFileURL(file).href)
  return { ...module.default, ...module }
}
