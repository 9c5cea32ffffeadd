// When a helper process has to end. A killed test harness cannot notify us, so besides signals we watch
// the two effects of its death: our stdin pipe closes, and we get another parent.
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
    // Watching alone does not keep the process alive.
    process.stdin.resume().unref()
    for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => once('stdin closed'))
  }
}

// /dev/null and files are at their end from the start; only the end of a pipe tells that its holder has ended.
function stdinIsHeld() {
  const stdin = fstatSync(0)
  return stdin.isFIFO() || stdin.isSocket()
}
