#!/usr/bin/env node
// An MCP client by the TypeScript SDK: --sdk 1 speaks revision 2025-11-25, --sdk 2 revision 2026-07-28. It connects to --url,
// and authorizes as the SDK does. Prints {"authorize": URL} and reads the address to which the browser came back, one line each;
// then prints what it got, and once more for each line that it reads (close ends it). Ends with its stdin.
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { sdk: { type: 'string' }, url: { type: 'string' } } })
const sdk =
  values.sdk === '2'
    ? await import('@modelcontextprotocol/client')
    : {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => {
  const { value, done } = await lines.next()
  if (done) process.exit(0)
  return value
}

const redirectUrl = 'http://127.0.0.1:9/callback'
const kept = {}
const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: `TypeScript SDK ${values.sdk}`,
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'a-state',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: (url) => void (kept.authorize = url.href),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
}

async function connect() {
  const transport = new sdk.StreamableHTTPClientTransport(new URL(values.url), { authProvider: provider })
  const options = values.sdk === '2' ? { versionNegotiation: { mode: 'auto' } } : {}
  const client = new sdk.Client({ name: 'test', version: '1' }, { capabilities: { elicitation: { url: {} } }, ...options })
  client.onerror = () => {}
  // Asked in the middle of a call, the user opens the page, or does not: {"open": URL}, and then a line with the action.
  if (values.sdk === '2') {
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      say({ open: params.url, message: params.message })
      return { action: await read() }
    })
  }
  await client.connect(transport)
  return client
}

async function authorized() {
  for (;;) {
    const transport = new sdk.StreamableHTTPClientTransport(new URL(values.url), { authProvider: provider })
    try {
      return await connect()
    } catch (error) {
      if (!kept.authorize) throw error
      say({ authorize: kept.authorize })
      kept.authorize = undefined
      const back = new URL(await read())
      if (back.searchParams.get('error')) {
        say({ error: back.searchParams.get('error'), error_description: back.searchParams.get('error_description') })
        process.exit(0)
      }
      await (values.sdk === '2' ? transport.finishAuth(back.searchParams) : transport.finishAuth(back.searchParams.get('code')))
    }
  }
}

try {
  const client = await authorized()
  for (;;) {
    try {
      const { tools } = await client.listTools()
      const [echo, slow] = [await client.callTool({ name: 'echo', arguments: {} }), await client.callTool({ name: 'slow', arguments: {} })]
      say({ tools: tools.map((tool) => tool.name), echo: echo.content[0].text, slow: slow.content[0].text })
    } catch (error) {
      say({ error: error.name, code: error.code, message: error.message, data: error.data })
    }
    if ((await read()) === 'close') {
      await client.close()
      process.exit(0)
    }
  }
} catch (error) {
  say({ failed: `${error.name}: ${error.message}` })
  process.exit(1)
}
