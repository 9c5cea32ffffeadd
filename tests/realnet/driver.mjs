#!/usr/bin/env node
// One process that signs in at PDSes for all tests of a suite: JSON lines in, JSON lines out, answers
// in the order in which they are ready. See README.md.
import { readLines, writeLine } from './lib/json-lines.mjs'
import { onEndOfLife } from './lib/lifetime.mjs'
import { signInAndDecide } from './lib/pds-sign-in.mjs'
import './lib/resolve-names.mjs'

const COMMANDS = { authorize }

async function authorize({ url, handle, password, decision = 'consent' }) {
  if (!['consent', 'reject'].includes(decision)) throw new Error(`"decision" is "consent" or "reject", not "${decision}"`)
  if (!URL.canParse(url)) throw new Error(`"url" is not a URL: ${url}`)
  return { redirect: await signInAndDecide({ url, handle, password, decision }) }
}

async function run({ id = null, cmd, ...input }) {
  try {
    if (!Object.hasOwn(COMMANDS, cmd)) throw new Error(`unknown command "${cmd}"; known: ${Object.keys(COMMANDS)}`)
    writeLine({ id, ok: true, ...(await COMMANDS[cmd](input)) })
  } catch (error) {
    writeLine({ id, ok: false, error: error.message })
  }
}

readLines({
  onValue: run,
  onBroken: (error) => writeLine({ id: null, ok: false, error: error.message }),
})
// When stdin closes, pending commands are still answered; then the process ends.
onEndOfLife(() => process.exit(0), { watchStdin: false })
