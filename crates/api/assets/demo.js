// The demo client: an ordinary public OAuth 2.1 client of this server, with nothing that another client
// could not do. Discovery (RFC 8414), PKCE (RFC 7636), state and iss (RFC 9207), tokens, refresh, revocation
// (RFC 7009). Tokens live in this tab only.
(() => {
  "use strict";

  const SCOPE = "atproto transition:generic";
  const FLOW = "causeway.demo.flow";
  const TOKENS = "causeway.demo.tokens";

  // The language of the page that this script runs on.
  const WORDS = {
    en: {
      errors: {
        access_denied: "The sign-in was cancelled or denied. You are not signed in.",
        invalid_request: "The sign-in request was not accepted.",
        invalid_scope: "The server does not grant the permissions that this page requested.",
        invalid_grant: "The sign-in or session has ended. Please sign in again.",
        invalid_token: "The session has ended. Please sign in again.",
        reauth_required: "Your account provider wants you to sign in again.",
        server_error: "Something went wrong on the server. Please try again.",
        temporarily_unavailable: "The server is busy. Please try again in a moment.",
      },
      unknownError: (code) => `The sign-in failed (${code}).`,
      foreignAnswer: "This response does not belong to a sign-in that started in this tab. Please sign in again.",
      wrongIssuer: "The response came from a different server than the request was sent to. You are not signed in.",
      wrongSubject: "The server named two different accounts. You are not signed in.",
      insecure: "This page needs https, or an address on this device, for the browser’s cryptography.",
      otherOrigin: (issuer) => `This server’s address is ${issuer}. Please open the page there.`,
      unreachable: "The server cannot be reached. Please check the connection and try again.",
      notJson: "The server sent a response that this page does not understand.",
      starting: "Continuing to your account provider…",
      exchanging: "Signing you in…",
      loading: "Loading your session…",
      refreshing: "Refreshing the session at your account provider…",
      refreshed: (from, to) => `Session refreshed: from iteration ${from} to ${to}.`,
      stillCurrent: (iteration) => `The session is still at iteration ${iteration}.`,
      renewing: "Getting new tokens…",
      renewed: "New tokens received.",
      signingOut: "Signing out…",
      signedOut: "You are signed out.",
      noHandle: "not verified",
      never: "does not expire",
    },
    de: {
      errors: {
        access_denied: "Die Anmeldung wurde abgebrochen oder abgelehnt. Niemand wurde angemeldet.",
        invalid_request: "Die Anmeldeanfrage wurde nicht angenommen.",
        invalid_scope: "Der Server gewährt nicht, worum diese Seite gebeten hat.",
        invalid_grant: "Die Anmeldung oder die Sitzung ist zu Ende. Bitte melde dich noch einmal an.",
        invalid_token: "Die Sitzung ist zu Ende. Bitte melde dich noch einmal an.",
        reauth_required: "Dein Server möchte, dass du dich noch einmal anmeldest.",
        server_error: "Beim Server ist etwas schiefgegangen. Bitte versuch es noch einmal.",
        temporarily_unavailable: "Der Server ist überlastet. Bitte versuch es gleich noch einmal.",
      },
      unknownError: (code) => `Die Anmeldung ist gescheitert (${code}).`,
      foreignAnswer:
        "Diese Antwort gehört zu keiner Anmeldung, die in diesem Tab begonnen hat. Bitte melde dich noch einmal an.",
      wrongIssuer: "Die Antwort kam von einem anderen Server als dem gefragten. Niemand wurde angemeldet.",
      wrongSubject: "Der Server hat zwei verschiedene Konten genannt. Niemand wurde angemeldet.",
      insecure:
        "Diese Seite braucht für die Kryptografie des Browsers https oder eine Adresse auf diesem Gerät.",
      otherOrigin: (issuer) => `Die Adresse dieses Servers ist ${issuer}. Bitte öffne die Seite dort.`,
      unreachable: "Der Server ist nicht zu erreichen. Bitte prüfe die Verbindung und versuch es noch einmal.",
      notJson: "Der Server hat eine Antwort gegeben, die diese Seite nicht versteht.",
      starting: "Weiter zu deinem Server …",
      exchanging: "Du wirst angemeldet …",
      loading: "Deine Sitzung wird geladen …",
      refreshing: "Die Sitzung wird bei deinem Server erneuert …",
      refreshed: (from, to) => `Sitzung erneuert: Aus Iteration ${from} wurde ${to}.`,
      stillCurrent: (iteration) => `Die Sitzung ist noch bei Iteration ${iteration}.`,
      renewing: "Neue Token werden geholt …",
      renewed: "Neue Token sind da.",
      signingOut: "Du wirst abgemeldet …",
      signedOut: "Du bist abgemeldet.",
      noHandle: "nicht geprüft",
      never: "kein festes Ende",
    },
  };
  const TEXT = WORDS[document.documentElement.lang] ?? WORDS.en;

  const byId = (id) => document.getElementById(id);
  const root = byId("demo");
  const issuer = root.dataset.issuer;
  const clientId = root.dataset.clientId;
  const redirectUri = `${location.origin}/`;

  /** An error whose message is meant for the user. */
  class Failure extends Error {
    constructor(message, status = 0, code = "") {
      super(message);
      this.status = status;
      this.code = code;
    }
  }

  // ---- The OAuth client ------------------------------------------------------------------------------

  const base64url = (bytes) =>
    btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  const randomString = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

  const s256 = async (verifier) =>
    base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));

  const inWords = (code, description) => {
    const words = TEXT.errors[code] ?? TEXT.unknownError(code || "unknown");
    return description ? `${words} (${description})` : words;
  };

  /** Fetches JSON; anything but a 2xx response becomes a Failure with a message. */
  const request = async (url, options = {}) => {
    let response;
    try {
      response = await fetch(url, { cache: "no-store", credentials: "omit", redirect: "error", ...options });
    } catch {
      throw new Failure(TEXT.unreachable);
    }
    const text = await response.text();
    let body = null;
    try {
      body = text === "" ? {} : JSON.parse(text);
    } catch {
      if (response.ok) throw new Failure(TEXT.notJson, response.status);
    }
    if (!response.ok) {
      const code = typeof body?.error === "string" ? body.error : "";
      const message = code
        ? inWords(code, body.error_description)
        : inWords(response.status === 401 ? "invalid_token" : response.status >= 500 ? "server_error" : `HTTP ${response.status}`);
      throw new Failure(message, response.status, code);
    }
    return body;
  };

  const postForm = (url, fields) => request(url, { method: "POST", body: new URLSearchParams(fields) });

  let metadataPromise = null;
  const metadata = () => {
    metadataPromise ??= request("/.well-known/oauth-authorization-server").then((found) => {
      if (found.issuer !== issuer) throw new Failure(TEXT.wrongIssuer);
      return found;
    });
    metadataPromise.catch(() => (metadataPromise = null));
    return metadataPromise;
  };

  /** Sends the browser to the authorization endpoint. */
  const startSignIn = async (loginHint) => {
    const { authorization_endpoint: endpoint } = await metadata();
    const flow = { state: randomString(), verifier: randomString() };
    sessionStorage.setItem(FLOW, JSON.stringify(flow));
    const url = new URL(endpoint);
    const query = {
      response_type: "code",
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: SCOPE,
      state: flow.state,
      code_challenge: await s256(flow.verifier),
      code_challenge_method: "S256",
      login_hint: loginHint,
    };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    location.assign(url);
  };

  /** Reads the authorization response from the address, once, and removes it from the address. */
  const takeAnswer = () => {
    const query = new URLSearchParams(location.search);
    if (!query.has("code") && !query.has("error")) return null;
    history.replaceState(null, "", "/");
    const flow = JSON.parse(sessionStorage.getItem(FLOW) ?? "null");
    sessionStorage.removeItem(FLOW);
    return { query, flow };
  };

  /** Checks the authorization response and exchanges its code. */
  const finishSignIn = async ({ query, flow }) => {
    // Before state and iss are verified, nothing of the response is shown: anybody can craft such a link.
    if (!flow || query.get("state") !== flow.state) throw new Failure(TEXT.foreignAnswer);
    const { issuer: expected, token_endpoint: endpoint } = await metadata();
    if (query.get("iss") !== expected) throw new Failure(TEXT.wrongIssuer);
    if (query.has("error")) throw new Failure(inWords(query.get("error"), query.get("error_description")));
    const answer = await postForm(endpoint, {
      grant_type: "authorization_code",
      code: query.get("code"),
      redirect_uri: redirectUri,
      client_id: clientId,
      code_verifier: flow.verifier,
    });
    keep(answer);
  };

  /** Rotates the token pair; the authorization server is not involved. */
  const renewTokens = async () => {
    const { token_endpoint: endpoint } = await metadata();
    const { refresh_token: refreshToken } = tokens();
    const answer = await postForm(endpoint, {
      grant_type: "refresh_token",
      refresh_token: refreshToken,
      client_id: clientId,
    });
    keep({ refresh_token: refreshToken, ...answer });
  };

  const revoke = async () => {
    const { revocation_endpoint: endpoint } = await metadata();
    const { refresh_token: refreshToken, access_token: accessToken } = tokens();
    await postForm(endpoint, {
      token: refreshToken ?? accessToken,
      token_type_hint: refreshToken ? "refresh_token" : "access_token",
      client_id: clientId,
    });
  };

  const tokens = () => JSON.parse(sessionStorage.getItem(TOKENS) ?? "null");
  const keep = (answer) => sessionStorage.setItem(TOKENS, JSON.stringify(answer));
  const forget = () => sessionStorage.removeItem(TOKENS);

  /** Calls an endpoint with the access token, refreshing it once if it has expired. */
  const call = async (url, options = {}) => {
    const attempt = () =>
      request(url, { ...options, headers: { Authorization: `Bearer ${tokens().access_token}` } });
    try {
      return await attempt();
    } catch (failure) {
      if (failure.status !== 401 || failure.code === "reauth_required" || !tokens()?.refresh_token) throw failure;
      await renewTokens();
      return await attempt();
    }
  };

  const loadSession = async () => {
    const { userinfo_endpoint: endpoint } = await metadata();
    const user = await call(endpoint ?? "/oauth/userinfo");
    const session = await call("/api/session");
    if (user.sub !== session.sub || (tokens().sub ?? user.sub) !== user.sub) {
      forget();
      throw new Failure(TEXT.wrongSubject);
    }
    return { ...session, handle: user.preferred_username ?? session.handle };
  };

  // ---- The page --------------------------------------------------------------------------------------

  const language = document.documentElement.lang;
  const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  const distance = new Intl.RelativeTimeFormat(language, { numeric: "always" });

  const showText = (id, value) => {
    byId(id).textContent = value ?? "–";
  };

  const showTime = (id, seconds) => {
    const element = byId(id);
    if (typeof seconds !== "number") {
      element.textContent = TEXT.never;
      element.removeAttribute("datetime");
      delete element.dataset.unix;
      return;
    }
    const left = seconds - Date.now() / 1000;
    const [amount, unit] =
      Math.abs(left) < 7200 ? [left / 60, "minute"] : Math.abs(left) < 172800 ? [left / 3600, "hour"] : [left / 86400, "day"];
    element.textContent = `${moment.format(seconds * 1000)} (${distance.format(Math.round(amount), unit)})`;
    element.dateTime = new Date(seconds * 1000).toISOString();
    element.dataset.unix = String(seconds);
  };

  const showSession = (session) => {
    showText("did", session.sub);
    showText("handle", session.handle || TEXT.noHandle);
    showText("pds", session.pds);
    showText("scope", session.scope);
    showText("session-id", session.session_id);
    showText("iteration", session.head_iteration);
    showText("session-iteration", session.session_iteration);
    showText("kind", session.session_kind);
    showText("state", session.session_state);
    showTime("expires", session.token_expires_at);
    showTime("session-expires", session.session_expires_at);
    byId("start").hidden = true;
    byId("session").hidden = false;
  };

  const showStart = () => {
    byId("session").hidden = true;
    // Nothing about the user stays on the page.
    for (const value of document.querySelectorAll("#session dd[id], #session dd > [id]")) value.textContent = "";
    byId("start").hidden = false;
    byId("sign-in-fields").disabled = false;
  };

  const say = (text) => {
    byId("status").textContent = text;
  };

  const showError = (failure) => {
    say("");
    const alert = byId("error");
    alert.textContent = failure instanceof Failure ? failure.message : inWords("server_error");
    alert.hidden = false;
    if (!(failure instanceof Failure)) console.error(failure);
  };

  const clearError = () => {
    byId("error").hidden = true;
    byId("error").textContent = "";
  };

  // One action at a time, in the order of the clicks: two concurrent refreshes would look like an error.
  let queue = Promise.resolve();
  const inTurn = (action) => {
    queue = queue.then(async () => {
      root.setAttribute("aria-busy", "true");
      clearError();
      try {
        await action();
      } catch (failure) {
        const ended = failure.status === 401 && failure.code !== "reauth_required";
        if (ended || failure.code === "invalid_grant") forget();
        if (!tokens()) showStart();
        showError(failure);
      } finally {
        root.removeAttribute("aria-busy");
      }
    });
    return queue;
  };

  const whenSignedIn = (action) => () => inTurn(async () => (tokens() ? action() : undefined));

  byId("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const loginHint = byId("login-hint").value.trim();
    inTurn(async () => {
      say(TEXT.starting);
      await startSignIn(loginHint);
    });
  });

  byId("refresh").addEventListener(
    "click",
    whenSignedIn(async () => {
      say(TEXT.refreshing);
      const before = Number(byId("iteration").textContent);
      const session = await call("/api/session/refresh", { method: "POST" });
      showSession(await loadSession());
      const after = session.head_iteration;
      say(after > before ? TEXT.refreshed(before, after) : TEXT.stillCurrent(after));
    }),
  );

  byId("refresh-token").addEventListener(
    "click",
    whenSignedIn(async () => {
      say(TEXT.renewing);
      await renewTokens();
      showSession(await loadSession());
      say(TEXT.renewed);
    }),
  );

  byId("sign-out").addEventListener(
    "click",
    whenSignedIn(async () => {
      say(TEXT.signingOut);
      try {
        await revoke();
      } catch (failure) {
        // A 4xx response means that there is nothing left to revoke; anything else is tried again.
        if (failure.status < 400 || failure.status >= 500) throw failure;
      }
      forget();
      showStart();
      say(TEXT.signedOut);
      byId("login-hint").focus();
    }),
  );

  // A page that the back button restores from the cache must not still show "Continuing to your account provider…".
  addEventListener("pageshow", (event) => {
    if (event.persisted) say("");
  });

  const begin = async () => {
    const answer = takeAnswer();
    if (location.origin !== issuer) throw new Failure(TEXT.otherOrigin(issuer));
    if (!isSecureContext) throw new Failure(TEXT.insecure);
    let problem = null;
    if (answer) {
      byId("start").hidden = true;
      say(TEXT.exchanging);
      // A crafted link must not end an existing session.
      problem = await finishSignIn(answer).then(() => null, (failure) => failure);
    }
    if (tokens()) {
      byId("start").hidden = true;
      say(TEXT.loading);
      showSession(await loadSession());
      if (answer && !problem) byId("session-heading").focus();
    } else {
      showStart();
    }
    say("");
    if (problem) throw problem;
  };

  inTurn(begin);
})();
