// One WebSocket to the table that is shown: its versions as they come, and searches while somebody types.
// Where there is none, such as behind a proxy without them, the page asks over HTTP.

import { Problem, tablePath, token } from "./service.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 60_000;

let socket = null;
let name = "";
let seen = null;
let said = () => {};
let ready = false;
let wait = FIRST_WAIT;
let timer = 0;
let sequence = 0;
let asked = null;

/** Follow a table, from a version on. onVersion(event): called for each one behind it. */
export function follow(table, version, onVersion) {
  said = onVersion;
  if (table === name && socket) return;
  stop();
  name = table;
  seen = version;
  open();
}

/** Follow nothing. */
export function stop() {
  clearTimeout(timer);
  const old = socket;
  socket = null;
  ready = false;
  name = "";
  fail(new Problem(0, "the connection ended"));
  old?.close();
}

/** The newest version of a table as far as it is known by now; null where it is not. */
export const newest = (table) => (ready && table === name ? seen : null);

/** What is found, null where nobody can be asked this way. A search that is not answered yet ends. */
export function searchWhileTyping(table, body, signal) {
  if (!ready || table !== name) return null;
  fail(new DOMException("a newer search", "AbortError"));
  sequence += 1;
  const found = new Promise((resolve, reject) => {
    asked = { sequence, resolve, reject };
  });
  signal.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError")), { once: true });
  socket.send(JSON.stringify({ type: "search", id: "search", sequence, ...body }));
  return found;
}

function fail(error) {
  asked?.reject(error);
  asked = null;
}

function open() {
  const address = new URL(`${tablePath(name)}/live`, new URL(".", document.baseURI));
  address.protocol = address.protocol.replace("http", "ws");
  const made = new WebSocket(address, ["audiomem"]);
  socket = made;
  made.addEventListener("open", () => {
    if (made === socket && token()) made.send(JSON.stringify({ token: token() }));
  });
  made.addEventListener("message", (event) => made === socket && take(JSON.parse(event.data)));
  made.addEventListener("close", () => {
    if (made !== socket) return;
    ready = false;
    fail(new Problem(0, "the connection ended"));
    timer = setTimeout(open, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  });
}

function take(message) {
  if (message.type === "ready") {
    socket.send(JSON.stringify({ type: "changes", id: "changes", after: seen }));
  } else if (message.type === "following") {
    ready = true;
    wait = FIRST_WAIT;
  } else if (message.type === "version") {
    seen = message.version;
    said(message);
  } else if (message.type === "found") {
    if (asked?.sequence !== message.sequence) return;
    asked.resolve(message);
    asked = null;
  } else if (message.type === "error" && message.id === "search") {
    if (asked?.sequence === message.sequence || message.sequence === undefined) fail(new Problem(message.problem.status, message.problem.detail));
  } else if (message.type === "error" && message.id === "changes") {
    seen = null; // what was seen is not kept any more: what comes is followed
    socket.close();
  }
}
