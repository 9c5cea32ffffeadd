// One JSON value per line, in both directions.
import { createInterface } from 'node:readline'

export const writeLine = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

// Calls `onValue` with the object on each line of stdin, `onBroken` for a line that holds none.
export function readLines({ onValue, onBroken }) {
  const lines = createInterface({ input: process.stdin, terminal: false })
  lines.on('line', (line) => {
    if (line.trim() === '') return
    let value
    try {
      value = JSON.parse(line)
      if (value === null || typeof value !== 'object') throw new Error(`not a JSON object: ${line}`)
    } catch (error) {
      onBroken(error)
      return
    }
    onValue(value)
  })
}
