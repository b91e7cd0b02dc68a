// Plays a table: the segments of its stream, fetched as they are needed, for Media Source Extensions.

import { askForBytes } from "./service.js";

const TYPE = 'audio/mp4; codecs="flac"';
// seconds that are fetched ahead, and kept behind
const AHEAD = 20;
const BEHIND = 30;

/** Whether this browser can play one. */
export const canPlay = () => "MediaSource" in window && MediaSource.isTypeSupported(TYPE);

/** The media segments that a playlist names, with the place of each in seconds. */
export function parsed(playlist) {
  const segments = [];
  let start = 0;
  let seconds = 0;
  let head = "";
  for (const line of playlist.split("\n")) {
    if (line.startsWith("#EXT-X-MAP:")) head = /URI="([^"]+)"/.exec(line)[1];
    else if (line.startsWith("#EXTINF:")) seconds = Number.parseFloat(line.slice(8));
    else if (line && !line.startsWith("#")) {
      segments.push({ name: line, start, end: start + seconds });
      start += seconds;
    }
  }
  return { head, segments, seconds: start };
}

const settled = (buffer) => new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));

/** The stream below a path, in an audio element. failed(error): called for what goes wrong. */
export class Player {
  constructor(audio, path, failed) {
    this.audio = audio;
    this.path = path;
    this.failed = failed;
    this.stopping = new AbortController();
    this.filling = false;
    this.begun = false;
    const { signal } = this.stopping;
    for (const name of ["timeupdate", "seeking", "play"]) audio.addEventListener(name, () => this.fill(), { signal });
  }

  /** Get to know the stream; nothing is played yet. */
  async open() {
    const { signal } = this.stopping;
    const text = async (name) => new TextDecoder().decode(await askForBytes(`${this.path}/${name}`, signal));
    const index = await text("index.m3u8");
    const media = index.split("\n").find((line) => line && !line.startsWith("#"));
    this.stream = parsed(await text(media));
    this.chapters = JSON.parse(await text("chapters.json"));
    this.source = new MediaSource();
    this.address = URL.createObjectURL(this.source);
    this.audio.src = this.address;
    await new Promise((resolve) => this.source.addEventListener("sourceopen", resolve, { once: true }));
    if (signal.aborted) return;
    this.buffer = this.source.addSourceBuffer(TYPE);
    this.source.duration = this.stream.seconds;
    await this.append(this.stream.head);
    await this.fill();
  }

  /** Fetch what is played next; one segment after the other. */
  async fill() {
    if (this.filling || !this.buffer || this.stopping.signal.aborted) return;
    this.filling = true;
    try {
      for (let segment = this.missing(); segment; segment = this.missing()) {
        await this.append(segment.name);
        await this.forget();
      }
      const last = this.stream.segments.at(-1);
      if (this.source.readyState === "open" && this.has(last)) this.source.endOfStream();
    } catch (error) {
      if (!this.stopping.signal.aborted) this.failed(error);
    } finally {
      this.filling = false;
    }
  }

  /** The first segment that will be played soon and is not there. */
  missing() {
    const { currentTime } = this.audio;
    return this.stream.segments.find((each) => each.end > currentTime && each.start < currentTime + AHEAD && !this.has(each));
  }

  has({ start, end }) {
    const { buffered } = this.buffer;
    const middle = (start + end) / 2;
    for (let at = 0; at < buffered.length; at += 1) {
      if (buffered.start(at) <= middle && middle <= buffered.end(at)) return true;
    }
    return false;
  }

  async append(name) {
    const bytes = await askForBytes(`${this.path}/${name}`, this.stopping.signal);
    if (this.stopping.signal.aborted || this.source.readyState === "closed") throw new DOMException("stopped", "AbortError");
    this.buffer.appendBuffer(bytes);
    await settled(this.buffer);
  }

  async forget() {
    const end = this.audio.currentTime - BEHIND;
    if (end <= 0 || !this.buffer.buffered.length || this.buffer.buffered.start(0) >= end) return;
    this.buffer.remove(0, end);
    await settled(this.buffer);
  }

  /** Play no more. */
  stop() {
    this.stopping.abort();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    if (this.address) URL.revokeObjectURL(this.address);
  }
}
