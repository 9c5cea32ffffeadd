// The PDS' own sign-in and authorize pages, as a user goes through them.

// From the moment the browser leaves the origins in `from` to the click on "Authorize".
export async function authorizeAtPds(journey, { from, handle, password }) {
  const { page } = journey
  const passwordField = page.locator('input[name="password"]')
  const signInButton = page.getByRole('button', { name: 'Sign in' })

  await journey.step('arrive-at-pds', async () => {
    await page.waitForURL((url) => !from.has(url.origin), { waitUntil: 'commit' })
    await passwordField.or(signInButton).first().waitFor()
  })
  await journey.step('pds-sign-in', async () => {
    // Without a login hint there is a page to choose between signing in and signing up first.
    if (!(await passwordField.isVisible())) await signInButton.first().click()
    await passwordField.waitFor()
    // With one, the name is filled in and cannot be changed.
    const nameField = page.locator('input[name="username"]')
    if (await nameField.isEditable()) await nameField.fill(handle)
    await passwordField.fill(password)
    await journey.screenshot('pds-sign-in')
    await passwordField.press('Enter')
  })
  await journey.step('pds-authorize', async () => {
    const authorize = page.getByRole('button', { name: /^(authorize|accept|allow)/i }).first()
    await authorize.waitFor()
    await journey.screenshot('pds-authorize')
    await authorize.click()
  })
}
