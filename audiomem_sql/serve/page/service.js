// What the page asks the service, and the token that it sends.

const KEY = "audiomem-token";
let held = "";
try {
  held = sessionStorage.getItem(KEY) ?? "";
} catch {
  // a browser that keeps nothing: the token lasts as long as the page
}

/** An answer that is an error: its status, and what the service says of it. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The token, "" without one. */
export const token = () => held;

/** Use another token; "" forgets it. */
export function setToken(value) {
  held = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}

/** The JSON at a path below the page. body: of a POST. Problem for an error. */
export async function ask(path, { query = {}, body, signal } = {}) {
  const address = addressOf(path);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) address.searchParams.append(name, value);
  }
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = {
    method: body === undefined ? "GET" : "POST",
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
  };
  const answer = await answerOf(address, headers, { ...options, signal });
  return whole(() => answer.json());
}

/** The bytes at a path below the page, which the browser may keep. Problem for an error. */
export async function askForBytes(path, signal) {
  const answer = await answerOf(addressOf(path), {}, { signal });
  return whole(() => answer.arrayBuffer());
}

const addressOf = (path) => new URL(path, new URL(".", document.baseURI));

async function answerOf(address, headers, options) {
  if (held) {
    if (/[^\x21-\x7e]/.test(held)) throw new Problem(401, "the token has characters that no token has");
    headers.Authorization = `Bearer ${held}`;
  }
  let answer;
  try {
    // without credentials, since the browser would ask for a password of its own where a token is missing
    answer = await fetch(address, { ...options, headers, credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the server cannot be reached");
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function whole(read) {
  try {
    return await read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the answer broke off before its end");
  }
}

async function problemOf(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // of a proxy, perhaps
  }
  const after = answer.headers.get("Retry-After");
  const again = after && /^\d+$/.test(after) ? ` Try again in ${after} s.` : "";
  return new Problem(answer.status, `${said.detail ?? `the server answered ${answer.status}`}${again}`);
}

/** The path of a table. */
export const tablePath = (name) => `tables/${encodeURIComponent(name)}`;

/** A name as SQL has it. */
export const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
