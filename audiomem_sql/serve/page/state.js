// What is shown, as the fragment of the address says it, so that a view can be linked.

const NAMES = ["table", "view", "version", "q", "mode", "in", "where", "after", "sql", "row"];
const VIEWS = ["search", "rows", "sql", "sound"];

/** The state in the address. columns: null for those that are shown by default. */
export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
  if (!VIEWS.includes(state.view)) state.view = "search";
  state.columns = given.has("column") ? given.getAll("column") : null;
  return state;
}

/** The fragment of a state. */
export function fragment(state) {
  const made = new URLSearchParams();
  for (const name of NAMES) {
    if (state[name]) made.append(name, state[name]);
  }
  for (const column of state.columns ?? []) made.append("column", column);
  return `#${made}`;
}

/** Show another state: the one that is shown, with changes. */
export function go(changes, { replace = false } = {}) {
  const next = fragment({ ...read(), ...changes });
  if (next === location.hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else if (replace) location.replace(next);
  else location.hash = next;
}
