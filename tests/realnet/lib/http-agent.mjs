// As much of a browser as the PDS pages need: cookies, chosen headers, no redirects followed.
// Not fetch(): it sets the Sec-Fetch headers itself.
import http from 'node:http'
import https from 'node:https'

const TIMEOUT_MS = 20_000

export class HttpAgent {
  #cookies = new Map()

  cookie(name) {
    return this.#cookies.get(name)
  }

  async send(method, url, { headers = {}, body } = {}) {
    const { request } = url.startsWith('https:') ? https : http
    const cookie = Array.from(this.#cookies, ([name, value]) => `${name}=${value}`).join('; ')
    const response = await new Promise((resolve, reject) => {
      request(url, {
        method,
        headers: { ...headers, ...(cookie && { cookie }) },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      }, resolve).once('error', reject).end(body)
    })
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    this.#store(response.headers['set-cookie'] ?? [])
    return { status: response.statusCode, location: response.headers.location, text }
  }

  // An agent talks to one PDS, so only the names and values of cookies matter.
  #store(lines) {
    for (const line of lines) {
      const [pair, ...attributes] = line.split(';')
      const equals = pair.indexOf('=')
      const [name, value] = [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()]
      const dead = attributes.some((attribute) => /^\s*max-age=0$/i.test(attribute))
      if (dead || value === '') this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
  }
}
