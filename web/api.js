/** The HTTP API: requests, and its problems (RFC 9457) as errors whose message is for the user. */

export class ApiError extends Error {
  /** `status` is 0 where no answer came. */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the fault may pass by itself: no answer, or one of a server in trouble. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Lets App Service Authentication sign the user in, and come back to this address. */
function signIn() {
  location.assign(`/.auth/login/aad?post_login_redirect_uri=${encodeURIComponent(location.pathname + location.hash)}`);
}

/** Returns the response if it is a success. "no-cache" lets the browser revalidate by ETag: a 304 costs no body. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-cache", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server can't be reached.");
  }
  if (response.ok) return response;
  if (response.status === 401) signIn();
  throw new ApiError(response.status, await problemText(response));
}

export async function getJson(path, options) {
  return (await request(path, options)).json();
}

export async function postJson(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

async function problemText(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (!isProblem) return `The server answered with status ${response.status}.`;
  const problem = await response.json();
  const faults = (problem.errors ?? []).map((fault) => `${fault.field}: ${fault.message}`);
  return [problem.detail ?? problem.title, ...faults].join(" ");
}
