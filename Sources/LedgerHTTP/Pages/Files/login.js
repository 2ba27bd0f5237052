// Logs a person in on the login page.

import { logIn, sharedToken, withoutShare } from "./session.js";

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const form = document.querySelector("#login");
const error = document.querySelector("#login-error");

/** The page to return to; the list of jobs unless the address names another page of this server. */
function nextPage() {
  try {
    const next = new URL(new URL(location.href).searchParams.get("next") ?? "", base);
    return next.origin === base.origin && next.pathname.startsWith(base.pathname) ? next : base;
  } catch {
    return base;
  }
}

async function enter(token, share) {
  try {
    await logIn(token, share);
    location.replace(nextPage());
  } catch (problem) {
    error.textContent = problem.message;
    form?.elements.token.focus();
  }
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(form.elements.token.value.trim(), false);
});

const shared = sharedToken();
if (shared !== null) {
  withoutShare();
  enter(shared, true);
}
