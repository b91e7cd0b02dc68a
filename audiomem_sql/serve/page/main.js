// The page: what the address says is shown, and what is typed becomes an address.

import { by, option } from "./elements.js";
import { follow, newest, stop } from "./live.js";
import { ask, setToken, tablePath, token } from "./service.js";
import { leaveSound, sound } from "./sound.js";
import { fragment, go, read } from "./state.js";
import { load, showRow, showVersions } from "./table.js";
import { rows, search, sql } from "./views.js";

const VIEWS = { search, rows, sql, sound };
const RESULTS = { search: "hits", rows: "rows", sql: "sql-rows", sound: "played" };
let tables = null;
let table = null;
let running = new AbortController();
let shownView = null;
let shownRow = "";
let typing = 0;

// milliseconds without a key after which is searched
const PAUSE = 150;

async function loadTables(signal) {
  tables ??= (await ask("tables", { signal })).tables;
  if (signal.aborted) return;
  by("table").replaceChildren(...tables.map((each) => option(each.name, each.name)));
  by("table").disabled = !tables.length;
}

async function loadTable(state, signal) {
  const name = state.table || tables[0].name;
  by("table").value = name;
  // a version that is named stays as it is; the newest may be another one by now
  const same = table?.name === name && table.asked === state.version;
  if (same && (state.version || newest(name) === table.version)) return;
  const loaded = await load(name, state.version, signal);
  loaded.asked = state.version;
  if (signal.aborted) return;
  table = loaded;
  tellNews("");
  follow(name, table.newest, committed);
}

/** A version was committed. */
function committed(event) {
  if (!table || event.version <= table.newest) return;
  table.add(event);
  showVersions(table);
  const counts = [event.inserted && `${event.inserted.toLocaleString("en")} inserted`, event.deleted && `${event.deleted.toLocaleString("en")} deleted`];
  tellNews(`Version ${event.version} came${counts.some(Boolean) ? `: ${counts.filter(Boolean).join(", ")}` : ""}.`);
}

function tellNews(text) {
  by("news").textContent = text;
  by("news-show").hidden = !text;
}

function fillFields(state) {
  if (!typing) by("query").value = state.q;
  by("where").value = by("search-where").value = state.where;
  by("sql").value = state.sql;
}

function showFrame(state) {
  for (const link of document.querySelectorAll("nav a")) {
    const view = link.dataset.view;
    link.href = fragment({ ...state, view, row: "", after: "" });
    if (view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const view of Object.keys(VIEWS)) by(`view-${view}`).hidden = by(`${view}-result`).hidden = view !== state.view;
  document.title = [state.q && state.view === "search" ? state.q : "", state.table, "AudioMemory SQL"].filter(Boolean).join(" · ");
}

async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const state = read();
  const view = fragment({ ...state, row: "" });
  const anew = view !== shownView || state.row === shownRow;
  by("error").textContent = "";
  try {
    if (anew) await showView(state, signal);
    if (signal.aborted) return;
    shownView = view;
    shownRow = state.row;
    await showRowOf(state, signal);
  } catch (error) {
    if (!signal.aborted) fail(error);
  } finally {
    if (running.signal === signal) by("content").setAttribute("aria-busy", "false");
  }
}

async function showView(state, signal) {
  shownView = null;
  showFrame(state);
  fillFields(state);
  if (state.view !== "sound") leaveSound();
  by("content").setAttribute("aria-busy", "true");
  if (state.view !== "search" || !by("hits").children.length) by("status").textContent = "Loading…";
  try {
    await loadTables(signal);
    if (signal.aborted) return;
    let said = token() ? "This token may read no table." : "There is no table.";
    if (tables.length) {
      await loadTable(state, signal);
      if (signal.aborted) return;
      showVersions(table);
      by("versions").hidden = state.view === "sql";
      said = await VIEWS[state.view](state, table, signal);
    }
    if (signal.aborted) return;
    by("status").textContent = said;
  } catch (error) {
    if (!signal.aborted) by(RESULTS[state.view]).replaceChildren();
    throw error;
  }
}

function fail(error) {
  by("status").textContent = "";
  by("error").textContent = error.message;
  if (error.status === undefined) console.error(error);
  if (error.status === 401) askForToken(token() ? error.message : "");
}

async function showRowOf(state, signal) {
  if (!state.row || !table?.key) {
    if (by("row-dialog").open) by("row-dialog").close();
    return;
  }
  const query = table.rowQuery(state.row);
  const found = await ask(`${tablePath(table.name)}/rows`, { query, signal });
  if (signal.aborted) return;
  if (found.rows.length) showRow(`${table.key.name} ${state.row}`, found.columns, found.rows[0]);
  else by("error").textContent = `There is no row ${state.row} in version ${found.version}.`;
}

function askForToken(why) {
  by("token-why").textContent = why;
  by("token").value = "";
  by("token-forget").disabled = !token();
  if (!by("token-dialog").open) by("token-dialog").showModal();
  by("token").focus();
}

function useToken(value) {
  setToken(value);
  stop();
  leaveSound();
  tables = table = null;
  // nothing stays of what another token may read
  for (const id of ["hits", "rows", "sql-rows", "row-values", "table", "tag"]) by(id).replaceChildren();
  for (const label of by("columns").querySelectorAll("label")) label.remove();
  by("versions").hidden = true;
  by("token-dialog").close();
  show();
}

function toSearch() {
  if (by("view-search").hidden) go({ view: "search", row: "", after: "" });
  by("view-search").hidden = false;
  by("query").focus();
  by("query").select();
}

function step(event) {
  const links = [...by("hits").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (at < 0 && document.activeElement !== by("query")) return;
  const next = event.key === "ArrowDown" ? at + 1 : at - 1;
  if (next >= links.length || next < -1) return;
  event.preventDefault();
  (links[next] ?? by("query")).focus();
}

function pressed(event) {
  if (event.altKey || event.metaKey || event.isComposing || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input:not([type=range], [type=checkbox]), textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey) {
    event.preventDefault();
    toSearch();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    step(event);
  } else if (event.key === "Escape" && by("hits").contains(document.activeElement)) {
    by("query").focus();
  } else if (event.key === "Enter" && event.ctrlKey && event.target === by("sql")) {
    by("sql-form").requestSubmit();
  }
}

function onSubmit(id, act) {
  by(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

function searchNow(options) {
  clearTimeout(typing);
  typing = 0;
  const asked = { q: by("query").value, mode: by("mode").value, in: by("column").value, where: by("search-where").value };
  go({ ...asked, row: "" }, options);
}

onSubmit("search-form", () => searchNow());
by("query").addEventListener("input", (event) => {
  if (event.isComposing) return;
  clearTimeout(typing);
  typing = setTimeout(() => searchNow({ replace: true }), PAUSE);
});
by("news-show").addEventListener("click", () => {
  by("version").focus();
  go({ version: "", after: "", row: "" });
});
onSubmit("rows-form", () => go({ where: by("where").value, after: "", row: "" }));
onSubmit("sql-form", () => go({ sql: by("sql").value }));
onSubmit("token-form", () => useToken(by("token").value.trim()));
by("token-open").addEventListener("click", () => askForToken(""));
by("token-forget").addEventListener("click", () => useToken(""));
by("token-close").addEventListener("click", () => by("token-dialog").close());
by("row-dialog").addEventListener("close", () => read().row && go({ row: "" }, { replace: true }));
by("table").addEventListener("change", () => {
  go({ table: by("table").value, version: "", in: "", mode: "", where: "", after: "", row: "", columns: null });
});
by("skip").addEventListener("click", (event) => {
  event.preventDefault();
  by("content").focus();
});
addEventListener("keydown", pressed);
addEventListener("hashchange", show);
show();
