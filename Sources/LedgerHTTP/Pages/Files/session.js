// Logs a viewer in and out. A token is exchanged for a cookie: that of a login, or that of a share link, whose address
// ends with #share=TOKEN.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const prefix = "#share=";

/** The token in the address; null if there is none. */
export const sharedToken = () => location.hash.startsWith(prefix) ? location.hash.slice(prefix.length) : null;

/** Removes the token from the address, so that it is not copied with it by mistake. */
export function withoutShare() {
  history.replaceState(history.state, "", location.pathname + location.search);
}

/**
 * Sets the cookie; throws an error for people if the token is not accepted.
 *
 * @param {boolean} share Whether the token is from a link; it must then be limited to one job.
 */
export async function logIn(token, share) {
  let response;
  try {
    response = await fetch(new URL("login", base), {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token, share }),
    });
  } catch {
    throw new Error("The server cannot be reached. Try again.");
  }
  if (response.ok) return;
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A proxy may answer with something else.
  }
  throw new Error(problem?.detail ?? `The server responded with status ${response.status}.`);
}

document.querySelector("#log-out")?.addEventListener("click", async () => {
  try {
    await fetch(new URL("logout", base), { method: "POST" });
  } finally {
    location.assign(new URL("login", base));
  }
});

// A share link's token is used only if the page was refused; otherwise it is just removed from the address.
const token = document.querySelector("#login") === null ? sharedToken() : null;
if (token !== null) {
  withoutShare();
  if (document.querySelector("main.problem") !== null) {
    try {
      await logIn(token, true);
      location.reload();
    } catch (problem) {
      document.querySelector("main.problem p").textContent = problem.message;
    }
  }
}
