// The view of a table as sound: it is played, its rows are shown where it plays, and its health.

import { by, element, tableOf } from "./elements.js";
import { canPlay, Player } from "./player.js";
import { ask, tablePath } from "./service.js";
import { fragment, read } from "./state.js";

const MOST_CHAPTERS = 200;
const SHOWN_ROWS = 20;
const CELL = 10;
const KINDS = ["catalog", "data", "parity", "damaged"];
// stops of a palette from dark to bright, for canvases of either scheme
const STOPS = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];

let player = null;
let shownTable = "";
let running = new AbortController();

/** Play no more, and show nothing. */
export function leaveSound() {
  running.abort();
  player?.stop();
  player = null;
  shownTable = "";
  for (const id of ["chapters", "played", "bands", "faults", "legend"]) by(id).replaceChildren();
  by("chapter").textContent = "";
  by("damage-said").textContent = "";
  for (const id of ["player", "spectrogram-figure", "damage-map"]) by(id).hidden = true;
}

const number = (value, digits = 3) => Number(value.toPrecision(digits)).toLocaleString("en");
const hertz = (value) => (value >= 1000 ? `${number(value / 1000)} kHz` : `${number(value)} Hz`);
const time = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Show the sound of a table; what was shown of it already stays. */
export async function sound(state, table, signal) {
  const shown = `${table.name} ${table.version}`;
  const path = tablePath(table.name);
  const about = await ask(`${path}/bands`, { signal });
  if (signal.aborted) return "";
  if (shown !== shownTable) {
    leaveSound();
    shownTable = shown;
    running = new AbortController();
    showBands(about);
    by("damage-read").onclick = () => readDamage(path, running.signal);
    by("listen").onclick = () => listen(table, running.signal);
    by("listen").hidden = false;
    by("listen-said").textContent = canPlay() ? "" : "This browser does not play FLAC in pieces.";
    by("listen").disabled = !canPlay();
    await showSpectrogram(path, running.signal);
  }
  const seconds = about.seconds < 60 ? `${number(about.seconds)} s` : time(about.seconds);
  return `${seconds} of ${about.modulation}, ${about.sample_rate / 1000} kHz, ${about.bits_per_sample} bit, protection ${about.protection}.`;
}

function showBands({ bands }) {
  const columns = ["band", "from", "to", "bits", "health", "corrected", "lost"].map((name) => ({ name, type: null }));
  const rows = bands.map((band) => ({
    band: band.name,
    from: hertz(band.low),
    to: hertz(band.high),
    bits: number(band.bits),
    health: band.health === null ? "not measured" : `${number(100 * band.health)} %`,
    corrected: band.corrections,
    lost: band.lost,
  }));
  const made = tableOf("Bands", columns, rows, null, null);
  bands.forEach((band, at) => {
    if (band.health === null) return;
    const meter = element("meter", { min: "0", max: "1", low: "0.5", high: "0.9", optimum: "1", "aria-hidden": "true" });
    meter.value = band.health;
    made.querySelectorAll("tbody tr")[at].children[4].prepend(meter, " ");
  });
  by("bands").replaceChildren(made);
}

// -- spectrogram ---------------------------------------------------------------------------------------------

async function showSpectrogram(path, signal) {
  try {
    const found = await ask(`${path}/spectrogram`, { signal });
    if (signal.aborted) return;
    drawSpectrogram(found);
    by("spectrogram-figure").hidden = false;
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === undefined) throw error;
    by("listen-said").textContent = `There is no spectrogram: ${error.message}`;
  }
}

function colour(value) {
  const place = (value / 255) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((part, at) => part + (STOPS[low + 1][at] - part) * (place - low));
}

function drawSpectrogram({ rows, columns, levels, seconds, low, high }) {
  const canvas = by("spectrogram");
  canvas.width = columns;
  canvas.height = rows;
  const bytes = Uint8Array.from(atob(levels), (letter) => letter.codePointAt(0));
  const palette = Array.from({ length: 256 }, (_, value) => colour(value));
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const at = 4 * ((rows - 1 - row) * columns + column);
      image.data.set(palette[bytes[row * columns + column]], at);
      image.data[at + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  const said = `Frequencies from ${hertz(low)} to ${hertz(high)}, over ${number(seconds)} s`;
  canvas.setAttribute("aria-label", `Spectrogram. ${said}.`);
  by("spectrogram-said").textContent = `${said}.`;
}

// -- the player ----------------------------------------------------------------------------------------------

async function listen(table, signal) {
  const audio = by("audio");
  by("listen").hidden = true;
  by("player").hidden = false;
  by("listen-said").textContent = "Loading…";
  const fail = (error) => {
    if (signal.aborted) return;
    by("listen-said").textContent = error.message;
    by("listen").hidden = false;
    by("player").hidden = true;
  };
  player = new Player(audio, `${tablePath(table.name)}/hls/${table.version}`, fail);
  try {
    await player.open();
  } catch (error) {
    fail(error);
    return;
  }
  if (signal.aborted) return;
  by("listen-said").textContent = "";
  showChapters(player.chapters, audio);
  let shown = null;
  const move = () => {
    const { currentTime, duration } = audio;
    if (duration) by("cursor").style.left = `${(100 * currentTime) / duration}%`;
    const at = player?.chapters.findLast((each) => each["start-time"] <= currentTime);
    if (at && at !== shown) {
      shown = at;
      showPlayed(table, at, signal);
    }
  };
  audio.addEventListener("timeupdate", move, { signal });
  audio.focus();
  move();
  // a browser that plays only after a click of its own button
  audio.play().catch(() => {});
}

const titleOf = (chapter) => chapter.titles[0].title;

function showChapters(chapters, audio) {
  const items = chapters.slice(0, MOST_CHAPTERS).map((chapter) => {
    const button = element("button", { type: "button" }, `${time(chapter["start-time"])} ${titleOf(chapter)}`);
    button.addEventListener("click", () => {
      audio.currentTime = chapter["start-time"];
    });
    return element("li", {}, button);
  });
  by("chapters").replaceChildren(...items);
}

async function showPlayed(table, chapter, signal) {
  by("chapter").textContent = `It plays ${titleOf(chapter)}.`;
  const values = Object.fromEntries((chapter.metadata ?? []).map(({ key, value }) => [key, value]));
  if (values["first-rowid"] === undefined) {
    by("played").replaceChildren();
    return;
  }
  const query = new URLSearchParams({ where: "rowid BETWEEN ? AND ?", limit: SHOWN_ROWS, version: table.version });
  query.append("parameter", values["first-rowid"]);
  query.append("parameter", values["last-rowid"]);
  try {
    const found = await ask(`${tablePath(table.name)}/rows?${query}`, { signal });
    if (signal.aborted) return;
    const columns = found.columns.filter(({ name }) => table.usual.includes(name));
    const link = (row) => fragment({ ...read(), view: "rows", row: String(row[table.key.name]) });
    by("played").replaceChildren(tableOf("Rows that play", columns, found.rows, table.key?.name ?? null, link));
  } catch (error) {
    if (!signal.aborted) by("listen-said").textContent = error.message;
  }
}

// -- damage --------------------------------------------------------------------------------------------------

async function readDamage(path, signal) {
  by("damage-read").disabled = true;
  by("damage-said").textContent = "All pages are read…";
  try {
    const found = await ask(`${path}/damage`, { signal });
    if (signal.aborted) return;
    drawDamage(found);
    const faults = found.fault_count.toLocaleString("en");
    const more = found.fault_count > found.faults.length ? ` The first ${found.faults.length} are listed.` : "";
    by("damage-said").textContent = found.fault_count ? `${faults} fault${found.fault_count === 1 ? "" : "s"}.${more}` : "Nothing is damaged.";
    const columns = ["page", "fault", "repair"].map((name) => ({ name, type: null }));
    const rows = found.faults.map((each) => ({ ...each, repair: each.repair ?? "none" }));
    by("faults").replaceChildren(...(rows.length ? [tableOf("Faults", columns, rows, null, null)] : []));
  } catch (error) {
    if (!signal.aborted) by("damage-said").textContent = error.message;
  } finally {
    by("damage-read").disabled = false;
  }
}

function drawDamage({ segments }) {
  const runs = segments.flatMap((each) => each.pages);
  const total = runs.reduce((sum, [, count]) => sum + count, 0);
  const canvas = by("damage-map");
  const width = Math.max(8, Math.min(120, Math.ceil(Math.sqrt(4 * total))));
  // of a large table each cell stands for several pages, and shows the worst of them
  const each = Math.max(1, Math.ceil(total / (width * 400)));
  const kinds = new Uint8Array(Math.ceil(total / each));
  const counts = [0, 0, 0, 0];
  let page = 0;
  for (const [kind, count] of runs) {
    const rank = KINDS.indexOf(kind);
    counts[rank] += count;
    for (const end = page + count; page < end; page += 1) {
      const cell = Math.floor(page / each);
      kinds[cell] = Math.max(kinds[cell], rank);
    }
  }
  canvas.width = width * CELL;
  canvas.height = Math.max(1, Math.ceil(kinds.length / width)) * CELL;
  canvas.style.width = `${canvas.width}px`;
  const style = getComputedStyle(canvas);
  const colours = KINDS.map((kind) => style.getPropertyValue(`--${kind}`));
  const context = canvas.getContext("2d");
  kinds.forEach((rank, at) => {
    context.fillStyle = colours[rank];
    context.fillRect((at % width) * CELL, Math.floor(at / width) * CELL, CELL - 1, CELL - 1);
  });
  const said = KINDS.map((kind, rank) => [kind, counts[rank]]).filter(([, count]) => count);
  const text = said.map(([kind, count]) => `${count.toLocaleString("en")} ${kind}`).join(", ");
  canvas.setAttribute("aria-label", `Map of ${total.toLocaleString("en")} pages: ${text}.`);
  canvas.hidden = false;
  by("legend").replaceChildren(
    ...said.map(([kind, count]) => element("li", { class: kind }, `${kind}: ${count.toLocaleString("en")}`)),
    ...(each > 1 ? [element("li", {}, `${each} pages a cell`)] : []),
  );
}
