// What tests can do to the running network: POST /control/<name> with a JSON body.
// `"pds": 1` in the body means that PDS only, otherwise all.

class BadRequest extends Error {
  status = 400
}

function number(input, field) {
  if (!Number.isFinite(input[field])) throw new BadRequest(`"${field}" has to be a number`)
  return input[field]
}

// `pdses` is the live list; the result maps names to functions of the body.
export function controlsFor(pdses) {
  const chosen = ({ pds }) => {
    const found = pdses.filter(({ index }) => pds === undefined || index === pds)
    if (found.length === 0) throw new BadRequest(`there is no PDS ${pds}`)
    return found
  }
  return {
    'token-max-age': (input) => {
      const seconds = number(input, 'seconds')
      for (const pds of chosen(input)) pds.setTokenMaxAge(seconds)
      return {}
    },
    'dpop-rotate': (input) => {
      const rotationMs = input.rotationMs === undefined ? undefined : number(input, 'rotationMs')
      for (const pds of chosen(input)) pds.replaceDpopNonces(rotationMs)
      return {}
    },
    'forget-clients': (input) => {
      for (const pds of chosen(input)) pds.forgetClients()
      return {}
    },
    'age-sessions': async (input) => {
      const seconds = number(input, 'seconds')
      const counts = await Promise.all(chosen(input).map((pds) => pds.ageSessions(seconds, input.did)))
      return { sessions: counts.reduce((sum, count) => sum + count, 0) }
    },
    'update-did': async (input) => {
      const { did, alsoKnownAs, endpoint } = input
      for (const pds of pdses) {
        if (!(await pds.findAccount(did))) continue
        await pds.updateDid(did, { alsoKnownAs, endpoint })
        return {}
      }
      throw new BadRequest(`no PDS has the account ${did}`)
    },
  }
}
