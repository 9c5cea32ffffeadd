// The names of the test network. None is in any DNS; all refer to this machine.
//
// Two domains, because a browser calls two names under one domain "same-site" and the PDS refuses to
// open its authorize page for same-site links: PDSes are in the first, and a server that sends a *browser*
// to them over TLS should be in the second.
export const DOMAINS = ['realnet.internal', 'apps.internal']
export const LOOPBACK = '127.0.0.1'

export const isOurs = (name) => DOMAINS.some((domain) => name === domain || name.endsWith(`.${domain}`))

// For Chromium's --host-resolver-rules.
export const chromiumResolverRules = DOMAINS.map((domain) => `MAP *.${domain} ${LOOPBACK}`).join(', ')
