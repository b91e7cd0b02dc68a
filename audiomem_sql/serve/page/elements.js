// Elements of the page. Values become text nodes, whatever they contain.

const LONGEST = 300;

/** The element with an id. */
export const by = (id) => document.getElementById(id);

/** A new element with attributes, and children that are elements or texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A value as text; null for NULL. */
export function textOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A value as a node. most: characters, beyond which it is cut. */
export function shown(value, most = LONGEST) {
  const text = textOf(value);
  if (text === null) return element("span", { class: "null" }, "NULL");
  return document.createTextNode(text.length > most ? `${text.slice(0, most)}…` : text);
}

/** An option of a select. */
export const option = (value, text) => element("option", { value }, text);

// how a column is set: numbers to the right, long texts wide
function kindOf({ name, type }, rows) {
  if (/^(INTEGER|REAL)/.test(type ?? "")) return "number";
  if (type === "TIMESTAMP") return "time";
  const values = rows.map((row) => row[name]);
  if (values.length && values.every((value) => typeof value === "number")) return "number";
  return values.some((value) => (textOf(value) ?? "").length > 30) ? "long" : "";
}

/** A table of rows that scrolls. link(row): the address of a row, shown in the column `key`. */
export function tableOf(label, columns, rows, key, link) {
  const kinds = columns.map((column) => kindOf(column, rows));
  const head = columns.map(({ name, type }, at) => {
    const cell = element("th", { scope: "col", class: kinds[at] }, name);
    if (type) cell.append(element("small", {}, type));
    return cell;
  });
  const cellOf = (row, name, at) =>
    name === key
      ? element("th", { scope: "row" }, element("a", { href: link(row) }, shown(row[name], 60)))
      : element("td", { class: kinds[at] }, shown(row[name]));
  const body = rows.map((row) => element("tr", {}, ...columns.map(({ name }, at) => cellOf(row, name, at))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, table);
}

/** A text with its marked parts, which stand between two characters. */
export function marked(text, before, behind) {
  const made = document.createDocumentFragment();
  text.split(before).forEach((part, at) => {
    const end = at ? part.indexOf(behind) : -1;
    if (end < 0) made.append(part);
    else made.append(element("mark", {}, part.slice(0, end)), part.slice(end + behind.length));
  });
  return made;
}
