// When a helper process has to go. A test harness that is killed cannot say goodbye, so besides signals
// we watch the two things that its death changes: our stdin pipe closes, and we get another parent.
import { fstatSync } from 'node:fs'

const PARENT_CHECK_MS = 500

// Calls `stop` once, with the reason.
export function onEndOfLife(stop, { watchStdin = true } = {}) {
  let called = false
  const once = (reason) => {
    if (called) return
    called = true
    stop(reason)
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => once(signal))
  process.stdout.on('error', () => once('stdout closed'))

  const parent = process.ppid
  setInterval(() => process.ppid !== parent && once('parent died'), PARENT_CHECK_MS).unref()

  if (watchStdin && stdinIsHeld()) {
    // Watching alone is no reason to go on living.
    process.stdin.resume().unref()
    for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => once('stdin closed'))
  }
}

// /dev/null and files are at their end from the start; only a pipe's end says anything about its holder.
function stdinIsHeld() {
  const stdin = fstatSync(0)
  return stdin.isFIFO() || stdin.isSocket()
}
