// The three views: search, rows, SQL. Each asks the service, and says in a sentence what came.

import { by, element, marked, option, shown, tableOf, textOf } from "./elements.js";
import { searchWhileTyping } from "./live.js";
import { ask, quoted, tablePath } from "./service.js";
import { fragment, go, read } from "./state.js";
import { showRow } from "./table.js";

const HITS = 20;
const ROWS = 50;
const SQL_ROWS = 200;
// characters for private use, so that no bracket of a text is taken for a mark
const MARKS = ["\u{e000}", "\u{e001}"];
const MODES = { "": "words and meaning", words: "words", semantic: "meaning" };
const TITLES = /^(title|heading|name|subject)$/i;
const PREFIX = /^(semantic|words|hybrid|keyword):/;

const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
const rowLink = (key) => (row) => fragment({ ...read(), row: textOf(row[key]) ?? "" });

/** Offer the ways and the columns in which a table is searched. */
export function prepareSearch(state, table) {
  const columns = table.searched;
  const oneByMeaning = columns.filter((each) => each.semantic).length < 2;
  const names = columns.map((each) => option(each.name, each.name));
  by("column").replaceChildren(...(oneByMeaning && columns.length !== 1 ? [option("", "all columns")] : []), ...names);
  by("column").value = state.in;
  if (by("column").selectedIndex < 0) by("column").selectedIndex = 0;
  offerModes(table, state.mode);
  by("column").onchange = () => offerModes(table, by("mode").value);
  by("not-searched").hidden = columns.length > 0;
  for (const id of ["query", "mode", "column", "search-where"]) by(id).disabled = !columns.length;
  by("search-form").querySelector("button").disabled = !columns.length;
}

function offerModes(table, wanted) {
  const among = table.searched.filter((each) => !by("column").value || each.name === by("column").value);
  const words = among.some((each) => each.indexed);
  const meaning = among.some((each) => each.semantic);
  const modes = words && meaning ? ["", "words", "semantic"] : [words ? "words" : "semantic"];
  by("mode").replaceChildren(...modes.map((mode) => option(mode, MODES[mode])));
  by("mode").value = modes.includes(wanted) ? wanted : modes[0];
}

/** Search, if there is something to search for. */
export async function search(state, table, signal) {
  prepareSearch(state, table);
  const hits = by("hits");
  if (!state.q.trim() || !table.searched.length) {
    hits.replaceChildren();
    return table.searched.length ? `${count(table.rows, "row")} to search.` : "";
  }
  const column = by("column").value;
  const mode = PREFIX.test(state.q) ? "" : by("mode").value;
  const snippet = column || (table.searched.find((each) => each.semantic) ?? table.searched[0]).name;
  const body = {
    query: mode ? `${mode}:${state.q}` : state.q,
    k: HITS,
    columns: table.usual.filter((name) => name !== snippet),
    snippet,
    snippet_words: 40,
    snippet_marks: MARKS,
    version: table.version,
  };
  if (!body.columns.length) body.columns = [snippet];
  if (column) body.column = column;
  if (state.where.trim()) body.where = state.where;
  const path = `${tablePath(table.name)}/search`;
  const found = await (searchWhileTyping(table.name, body, signal) ?? ask(path, { body, signal }));
  if (signal.aborted) return "";
  hits.replaceChildren(...found.rows.map((row, at) => hit(table, found.columns, row, snippet, at + 1)));
  return found.rows.length ? `${count(found.rows.length, "result")} in version ${found.version}.` : "Nothing was found.";
}

function hit(table, columns, row, searched, rank) {
  const names = columns.map((each) => each.name);
  const snippet = names.findLast((name) => /^(audiomem_)?snippet$/.test(name));
  const texts = columns.filter(({ name, type }) => type === "TEXT" && ![snippet, searched].includes(name) && row[name]);
  const title = texts.find(({ name }) => TITLES.test(name)) ?? texts[0];
  const key = table.key && row[table.key.name] !== undefined ? table.key.name : null;
  const heading = title ? textOf(row[title.name]) : key ? `${key} ${textOf(row[key])}` : `Result ${rank}`;
  const link = element("a", { href: key ? rowLink(key)(row) : "#row" }, heading.length > 120 ? `${heading.slice(0, 120)}…` : heading);
  if (!key) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      showRow(heading, columns.filter(({ name }) => name !== snippet), row);
    });
  }
  const places = names.filter((name) => ![snippet, title?.name, searched].includes(name) && row[name] !== null);
  const values = places.map((name) => {
    const value = name === "distance" && typeof row[name] === "number" ? Number(row[name].toPrecision(4)) : row[name];
    return element("div", {}, element("dt", {}, name), element("dd", {}, shown(value, 80)));
  });
  return element(
    "li",
    {},
    link,
    element("p", {}, marked(row[snippet] ?? "", ...MARKS)),
    element("dl", { class: "places" }, ...values),
  );
}

/** A page of rows. */
export async function rows(state, table, signal) {
  const chosen = state.columns ?? table.usual;
  offerColumns(table, chosen);
  const query = { limit: ROWS, columns: chosen.map(quoted).join(","), where: state.where };
  Object.assign(query, state.after ? { after: state.after } : { version: table.version });
  by("next").disabled = by("first").disabled = true;
  const page = await ask(`${tablePath(table.name)}/rows`, { query, signal });
  if (signal.aborted) return "";
  const key = table.key && chosen.includes(table.key.name) ? table.key.name : null;
  const made = page.rows.length ? [tableOf("Table of rows", page.columns, page.rows, key, rowLink(key))] : [];
  by("rows").replaceChildren(...made);
  by("first").disabled = !state.after;
  by("next").disabled = !page.next;
  by("first").onclick = () => go({ after: "" });
  by("next").onclick = () => go({ after: page.next });
  const of = state.where.trim() ? "" : ` of ${table.rows.toLocaleString("en")}`;
  return page.rows.length ? `${count(page.rows.length, "row")}${of}, version ${page.version}.` : "There are no rows here.";
}

function offerColumns(table, chosen) {
  const field = by("columns");
  const boxes = table.columns.map(({ name }) => {
    const box = element("input", { type: "checkbox" });
    box.checked = chosen.includes(name);
    box.dataset.column = name;
    return element("label", {}, box, name);
  });
  const focused = document.activeElement?.dataset?.column;
  field.replaceChildren(field.querySelector("legend"), ...boxes);
  if (focused !== undefined) [...field.querySelectorAll("input")].find((box) => box.dataset.column === focused)?.focus();
  field.onchange = () => {
    const names = [...field.querySelectorAll("input:checked")].map((box) => box.dataset.column);
    go({ columns: names.length ? names : null }, { replace: true });
  };
}

/** The result of the statement, if there is one. */
export async function sql(state, table, signal) {
  if (!by("sql").value) by("sql").value = `SELECT * FROM ${quoted(table.name)} LIMIT 20`;
  if (!state.sql.trim()) {
    by("sql-rows").replaceChildren();
    return "";
  }
  const found = await ask("sql", { body: { sql: state.sql, limit: SQL_ROWS }, signal });
  if (signal.aborted) return "";
  by("sql-rows").replaceChildren(tableOf("Table of the result", found.columns, found.rows, null, null));
  return found.truncated ? `The first ${count(found.rows.length, "row")}; there are more.` : `${count(found.rows.length, "row")}.`;
}
