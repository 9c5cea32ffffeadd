#!/usr/bin/env node
// Evaluates scope values with the official package of a PDS release (--release 0.4): one JSON line in, {"values", "sets", "questions"}; one
// JSON line out, the canonical text of each value (null: it is ignored), and which of the questions each set
// allows.
import { parseArgs } from 'node:util'
import { readLines, writeLine } from './lib/json-lines.mjs'
import { loadFrom, release } from './lib/releases.mjs'

const { values: options } = parseArgs({ options: { release: { type: 'string', default: '0.4' } } })
const { ScopePermissionsTransition, normalizeAtprotoOauthScopeValue } = await loadFrom(
  release(options.release).directory,
  '@atproto/oauth-scopes',
)

function canonical(value) {
  try {
    return normalizeAtprotoOauthScopeValue(value)
  } catch {
    return null // malformed percent-encoding throws
  }
}

function ask(permissions, [what, ...rest]) {
  const [first, second] = rest
  switch (what) {
    case 'repo':
      return permissions.allowsRepo({ action: first, collection: second })
    case 'rpc':
      return permissions.allowsRpc({ lxm: first, aud: second })
    case 'blob':
      return permissions.allowsBlob({ mime: first })
    case 'account':
      return permissions.allowsAccount({ attr: first, action: second })
    case 'identity':
      return permissions.allowsIdentity({ attr: first })
    default:
      throw new Error(`unknown question ${what}`)
  }
}

readLines({
  onValue({ values, sets, questions }) {
    const answers = sets.map((set) => {
      const permissions = new ScopePermissionsTransition(set)
      return questions.map((question) => ask(permissions, question))
    })
    writeLine({ values: values.map(canonical), answers })
  },
  onBroken: (error) => {
    throw error
  },
})
