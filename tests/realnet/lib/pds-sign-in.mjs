// Signs in at a PDS and decides about a client, with the requests that the PDS' own pages send.
import { HttpAgent } from './http-agent.mjs'

const API = '/@atproto/oauth-provider/~api'

// `url` is a PDS' authorize URL with client_id and request_uri, `decision` "consent" or "reject".
// Returns where the PDS then sends the browser: the client's redirect URI with code, state and iss, or error.
export async function signInAndDecide({ url, handle, password, decision }) {
  const agent = new HttpAgent()
  const page = await navigate(agent, url, 'cross-site')
  // No question for the user: an error that concerns the client.
  if (page.location) return page.location
  if (page.status !== 200) throw new Error(`the authorize page responded with ${page.status}: ${errorIn(page.text)}`)

  const next = decision === 'reject' ? await reject(agent, url) : await consent(agent, url, { handle, password })
  const last = await navigate(agent, next, 'same-origin', url)
  if (!last.location) throw new Error(`${next} answered ${last.status} without a redirect: ${errorIn(last.text)}`)
  return last.location
}

async function consent(agent, page, { handle, password }) {
  const signedIn = await callApi(agent, page, 'sign-in', { username: handle, password, locale: 'en', remember: false })
  // PDS 0.4 names the account by `sub`, 0.5 by `did`; each refuses the other's name.
  const { did, sub } = signedIn.account
  return (await callApi(agent, page, 'consent', did ? { did } : { sub }, signedIn.ephemeralToken)).url
}

async function reject(agent, page) {
  return (await callApi(agent, page, 'reject', {})).url
}

const navigate = (agent, url, site, referer) =>
  agent.send('GET', url, {
    headers: {
      accept: 'text/html',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      'sec-fetch-site': site,
      ...(referer && { referer }),
    },
  })

// The PDS identifies the request by the Referer, which is the authorize page's URL.
async function callApi(agent, page, name, input, token) {
  const { origin } = new URL(page)
  const { status, text } = await agent.send('POST', `${origin}${API}/${name}`, {
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      origin,
      referer: page,
      'sec-fetch-mode': 'same-origin',
      'sec-fetch-dest': 'empty',
      'sec-fetch-site': 'same-origin',
      'x-csrf-token': agent.cookie('csrf-token') ?? '',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(input),
  })
  if (status !== 200) throw new Error(`${name} answered ${status}: ${text}`)
  return JSON.parse(text)
}

// The error page is a script with its data inside; the reader of a test's output needs that data.
const errorIn = (html) => html.match(/error_description[^}]{0,300}/)?.[0] ?? html.slice(0, 300)
