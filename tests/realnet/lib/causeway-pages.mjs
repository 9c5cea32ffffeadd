// Causeway's own pages, by the names and test ids that they promise to this test.
import { until } from './browser.mjs'

const RESULTS = ['did', 'handle', 'pds', 'scope', 'session-id', 'iteration']

const byTestId = (page, id) => page.locator(`[data-testid="${id}"]`)
const decisionButton = (page, decision) => page.locator(`button[name="decision"][value="${decision}"]`)

// Fills a field and submits its form with the form's button.
export async function submitField(page, name, value) {
  const field = page.locator(`input[name="${name}"]`)
  await field.fill(value)
  await page.locator('form', { has: field }).locator('button:not([type="button"]), input[type="submit"]').first().click()
}

export function waitForConsentPage(journey, own) {
  const { page } = journey
  return journey.step('causeway-consent', async () => {
    await page.waitForURL((url) => own.has(url.origin), { waitUntil: 'commit' })
    await decisionButton(page, 'allow').waitFor()
    await journey.screenshot('causeway-consent')
  })
}

export const decide = (journey, decision) =>
  journey.step(`causeway-${decision}`, () => decisionButton(journey.page, decision).click())

// The texts of the demo page's result; null for elements that it does not show.
async function readResults(page) {
  const values = await Promise.all(RESULTS.map(async (id) => [id, await textOf(byTestId(page, id))]))
  return Object.fromEntries(values)
}

async function textOf(locator) {
  if ((await locator.count()) === 0) return null
  // The page may be replaced at this moment.
  const text = await locator.first().textContent({ timeout: 1000 }).catch(() => null)
  return text?.trim() ?? null
}

export function waitForResults(journey) {
  return journey.step('signed-in', async () => {
    await byTestId(journey.page, 'did').first().waitFor()
    const results = await readResults(journey.page)
    await journey.screenshot('signed-in')
    return results
  })
}

export function refresh(journey, before) {
  const { page } = journey
  return journey.step('refresh', async () => {
    await byTestId(page, 'refresh').click()
    await until(`the iteration is above ${before.iteration}`, async () => {
      const text = await textOf(byTestId(page, 'iteration'))
      return text !== null && Number(text) > Number(before.iteration)
    })
    const results = await readResults(page)
    await journey.screenshot('refreshed')
    return results
  })
}

export function signOut(journey) {
  const { page } = journey
  return journey.step('sign-out', async () => {
    await byTestId(page, 'sign-out').click()
    await byTestId(page, 'did').waitFor({ state: 'hidden' })
    await page.locator('input[name="login_hint"]').waitFor()
    const results = await readResults(page)
    await journey.screenshot('signed-out')
    return results
  })
}

// After "deny", any page of Causeway without the question ends the step; the caller checks its text.
export function waitForDenial(journey) {
  const { page } = journey
  return journey.step('denied', async () => {
    await decisionButton(page, 'deny').waitFor({ state: 'detached' })
    await page.waitForLoadState()
    await journey.screenshot('denied')
    return { url: page.url(), text: await page.locator('body').innerText() }
  })
}
