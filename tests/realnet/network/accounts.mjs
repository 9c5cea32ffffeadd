// The users of the network.

// The PDS of each user; with a single PDS it is that of all.
const PEOPLE = [
  { name: 'alice', home: 1 },
  { name: 'bob', home: 2 },
  { name: 'carol', home: 1 },
]

export async function createAccounts(pdses) {
  const accounts = []
  for (const { name, home } of PEOPLE) {
    const { url } = pdses[Math.min(home, pdses.length) - 1]
    accounts.push(await createAccount(url, { handle: `${name}.test`, email: `${name}@mail.test`, password: `${name}-password` }))
  }
  return accounts
}

async function createAccount(pds, { handle, email, password }) {
  const response = await fetch(`${pds}/xrpc/com.atproto.server.createAccount`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ handle, email, password }),
  })
  if (!response.ok) throw new Error(`creating ${handle}: ${response.status} ${await response.text()}`)
  const { did } = await response.json()
  return { handle, password, did, pds, email }
}
