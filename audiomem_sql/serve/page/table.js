// What the page knows of a table: its columns, its key, its versions.

import { by, element, option } from "./elements.js";
import { ask, quoted, tablePath } from "./service.js";
import { go } from "./state.js";

const MOST_VERSIONS = 1000;
const LARGE = /^(FLOAT|INT8|BIT|BLOB)/;

/** A table in a version. */
export class Table {
  constructor(about, versions) {
    this.name = about.name;
    this.rows = about.rows;
    this.version = about.version;
    this.newest = versions.version;
    this.tags = about.tags;
    this.columns = about.columns;
    this.versions = versions.versions.toReversed();
    this.searched = about.columns.filter((each) => each.type === "TEXT" && (each.semantic || each.indexed));
    const keys = about.columns.filter((each) => each.primary_key);
    this.key = keys.length === 1 && !LARGE.test(keys[0].type) ? keys[0] : null;
  }

  /** Names of the columns that are shown unless others are chosen: without vectors and bytes. */
  get usual() {
    const small = this.columns.filter((each) => !LARGE.test(each.type));
    return (small.length ? small : this.columns).map((each) => each.name);
  }

  /** A version that came behind the newest one. */
  add(event) {
    this.newest = event.version;
    this.versions.push({ tags: [], ...event });
  }

  /** A query for the row with a key, in this version. */
  rowQuery(key) {
    const { name, type } = this.key;
    const parameter = /^(INTEGER|REAL|BOOLEAN)/.test(type) ? key : JSON.stringify(key);
    return { where: `${quoted(name)} = ?`, parameter, limit: 1, version: this.version };
  }
}

/** The table of a state. */
export async function load(name, version, signal) {
  const path = tablePath(name);
  const [about, versions] = await Promise.all([
    ask(path, { query: { version }, signal }),
    ask(`${path}/versions`, { query: { limit: MOST_VERSIONS }, signal }),
  ]);
  return new Table(about, versions);
}

function described(table, entry) {
  const parts = [`${entry.version} of ${table.newest}`, entry.time.replace(/\.\d+$/, "")];
  if (entry.inserted) parts.push(`${entry.inserted.toLocaleString("en")} inserted`);
  if (entry.deleted) parts.push(`${entry.deleted.toLocaleString("en")} deleted`);
  if (entry.tags.length) parts.push(`tag ${entry.tags.join(", ")}`);
  if (entry.message) parts.push(entry.message);
  return parts.join(" · ");
}

function say(table) {
  const slider = by("version");
  const entry = table.versions[Number(slider.value)];
  const text = entry ? described(table, entry) : `${table.version} of ${table.newest}`;
  slider.setAttribute("aria-valuetext", `Version ${text}`);
  by("version-text").textContent = text;
}

/** Show the versions of a table, and which of them is shown. */
export function showVersions(table) {
  const slider = by("version");
  slider.max = String(Math.max(0, table.versions.length - 1));
  const at = table.versions.findIndex((each) => each.version === table.version);
  slider.value = String(at < 0 ? 0 : at);
  slider.disabled = table.versions.length < 2;
  slider.oninput = () => say(table);
  slider.onchange = () => {
    const chosen = table.versions[Number(slider.value)].version;
    go({ version: chosen === table.newest ? "" : String(chosen), after: "", row: "" });
  };
  say(table);
  const tags = by("tag");
  const names = Object.keys(table.tags).sort();
  tags.replaceChildren(option("", "none"), ...names.map((name) => option(name, `${name} (${table.tags[name]})`)));
  tags.value = names.find((name) => table.tags[name] === table.version) ?? "";
  tags.disabled = !names.length;
  tags.onchange = () => go({ version: tags.value, after: "", row: "" });
}

/** Show a row: its columns and values in the dialog. */
export function showRow(title, columns, row) {
  by("row-heading").textContent = title;
  by("row-values").replaceChildren(
    ...columns.flatMap(({ name }) => {
      const value = row[name];
      const text = value === null || value === undefined ? element("span", { class: "null" }, "NULL") : "";
      return [
        element("dt", {}, name),
        element("dd", {}, text || (typeof value === "string" ? value : JSON.stringify(value))),
      ];
    }),
  );
  if (!by("row-dialog").open) by("row-dialog").showModal();
}
