/**
 * The outbox: every event is durable before `put` resolves, and waits in it until the server has acknowledged it. After that it is kept for `resendH` hours of
 * the server's time, for a server that was restored from a backup and asks for it again. The outbox also keeps what the server answered.
 *
 * @typedef {import('./clock.js').Random} Random
 * @typedef {[key: string, value: any]} Change  `undefined` forgets the key.
 *
 * @typedef {object} Store  Where an outbox keeps its records: a small durable map. Adapters: `node.js` and `browser.js`.
 * @property {() => Promise<Map<string, any>>} open  Everything in it. Rejects with `OutboxLocked` while another outbox has it.
 * @property {(changes: Change[]) => Promise<void>} write  Resolves when all of them are durable; if it rejects, none counts.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Made  An event as it happened: `sent_*` is added to its payload at each sending.
 * @property {Uint8Array} id
 * @property {string} type
 * @property {Uint8Array} payload
 *
 * @typedef {Made & {log: Uint8Array, seq: number, place: number}} Entry  `place` counts events over all logs.
 *
 * @typedef {{epoch: number, n: number, payload: Uint8Array}} Answer  A receipt as it came. The highest (epoch, n) holds.
 *
 * @typedef {{eventsMax: number, receiptsMax: number, keptMax: number, resendH: number}} OutboxLimits
 */
import { hex, same } from './encoding.js';
import { OutboxError, OutboxFull } from './errors.js';

const LOG_BYTES = 8;
const HOUR_MS = 3_600_000;

export class Outbox {
  /** @type {Store} */ #store;
  /** @type {OutboxLimits} */ #limits;
  /** @type {Random} */ #random;
  /** @type {Map<string, any>} What the store has, or is still owed. */ #records;
  /** @type {Set<string>} Keys whose last write failed: they go with the next one. */ #owed = new Set();
  /** @type {Map<number, Entry>} Without acknowledgement, by place. */ #waiting = new Map();
  /** @type {Map<number, Entry>} Acknowledged, the longest ago first. */ #kept = new Map();
  /** @type {Map<string, Answer>} The longest known first. */ #receipts = new Map();
  /** @type {Entry[]} Made since the run began, oldest first. */ #fresh = [];
  /** @type {Entry[]} What else this run sends, newest first. */ #old = [];
  /** @type {Promise<unknown>} */ #turn = Promise.resolve();
  #endsLog = false;
  #serverMs = 0;

  /** @param {Store} store @param {Map<string, any>} records @param {OutboxLimits} limits @param {Random} random */
  constructor(store, records, limits, random) {
    [this.#store, this.#records, this.#limits, this.#random] = [store, records, limits, random];
    const entries = /** @type {Entry[]} */ ([...records].filter(([key]) => key.startsWith('event ')).map(([, entry]) => entry));
    entries.sort((one, other) => one.place - other.place);
    for (const entry of entries) (records.has(acknowledged(entry)) ? this.#kept : this.#waiting).set(entry.place, entry);
    for (const [key, answer] of records) if (key.startsWith('receipt ')) this.#receipts.set(key, answer);
    this.startRun();
  }

  /**
   * `owner` is the site and device that the outbox belongs to: events never leave under another's name.
   * @param {Store} store @param {string} owner @param {OutboxLimits} limits @param {Random} random
   */
  static async open(store, owner, limits, random) {
    const records = await store.open();
    try {
      if (!records.has('state')) {
        records.set('state', { owner, log: random(LOG_BYTES), seq: 0, place: 0, older: {} });
        await store.write([['state', records.get('state')]]);
      }
      if (records.get('state').owner !== owner) throw new OutboxError(`it belongs to ${records.get('state').owner}, not to ${owner}`);
      return new Outbox(store, records, limits, random);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** 8 bytes, random when the outbox was made or its numbers began anew; `seq` is contiguous within it. @returns {Uint8Array} */
  get log() { return this.#records.get('state').log; }
  /** The last number given out in this log, and the id of its event. @returns {{seq: number, id?: Uint8Array}} */
  get last() { return { seq: this.#records.get('state').seq, id: this.#records.get('state').id }; }
  /** How many events have not been acknowledged. */
  get backlog() { return this.#waiting.size; }
  /** What was kept of topics. @returns {[topic: string, message: any][]} */
  get topics() { return [...this.#records].filter(([key]) => key.startsWith('topic ')).map(([key, message]) => [key.slice(6), message]); }

  /** The logs before this one of which events are kept, each with its last number. @returns {{log: Uint8Array, seq: number}[]} */
  get olderLogs() {
    const logs = new Map([...this.#kept.values()].map((entry) => [hex(entry.log), entry.log]));
    const { older } = this.#records.get('state');
    return [...logs].filter(([name]) => name in older).map(([name, log]) => ({ log, seq: older[name] }));
  }

  /**
   * Stores the event that `make` builds for a log and seq. One after the other, so that no number is given out for an event that is not stored.
   * @param {(log: Uint8Array, seq: number) => Made} make @returns {Promise<Entry>}
   */
  put(make) {
    const put = this.#turn.then(async () => {
      if (this.#waiting.size >= this.#limits.eventsMax) throw new OutboxFull(`${this.#waiting.size} events wait`);
      const beginsLog = this.#endsLog && !this.#waiting.size;
      const before = beginsLog ? this.#newLog() : this.#records.get('state');
      const [log, seq, place] = [before.log, before.seq + 1, before.place + 1];
      const entry = { ...make(log, seq), log, seq, place };
      const changes = [change(event(entry), entry), change('state', { ...before, seq, place, id: entry.id })];
      await this.#write(changes);
      this.#apply(changes);
      this.#endsLog &&= !beginsLog;
      this.#waiting.set(place, entry);
      this.#fresh.push(entry);
      return entry;
    });
    this.#turn = put.catch(() => {});
    return put;
  }

  /** Numbers of `log` were used before: the outbox was restored or copied. A new log begins as soon as nothing of it waits. @param {Uint8Array} log */
  endLog(log) {
    this.#endsLog ||= same(log, this.log);
  }

  /** Begins a new run of hand-outs, on a new connection: whatever was not acknowledged is backlog now. */
  startRun() {
    this.#fresh = [];
    this.#old = [...this.#waiting.values()].reverse();
  }

  /**
   * Up to `room` events to send next, each once a run: first those made since the run began, then the others, oldest first. What does not fit stays.
   * @param {number} room @param {(entry: Entry) => boolean} fits
   */
  take(room, fits) {
    const taken = /** @type {Entry[]} */ ([]);
    while (taken.length < room) {
      const entry = this.#fresh.shift() ?? this.#old.pop();
      if (entry === undefined) break;
      if (fits(entry)) taken.push(entry);
    }
    return taken;
  }

  /** A server that was restored lacks events: those that are kept go once more in this run. @param {{log: Uint8Array, from: number, to: number}} range */
  sendAgain({ log, from, to }) {
    const due = new Set(this.#old);
    for (const entry of this.#kept.values()) if (entry.seq >= from && entry.seq <= to && same(entry.log, log)) due.add(entry);
    this.#old = [...due].sort((one, other) => other.place - one.place);
  }

  /** The server has stored an event. Even if this cannot be written, it is not sent again while the device runs. @param {Entry} entry */
  async acknowledge(entry) {
    if (!this.#waiting.delete(entry.place)) return;
    this.#kept.set(entry.place, entry);
    await this.#save([change(acknowledged(entry), this.#serverMs), ...this.#forgetOld()]);
  }

  /** Whether an event still waits for its acknowledgement. @param {Entry} entry */
  holds(entry) {
    return this.#waiting.has(entry.place);
  }

  /** Keeps a receipt. Resolves, once it is durable, to whether it was news. @param {Uint8Array} id @param {Answer} answer @param {number} serverMs */
  async answer(id, answer, serverMs) {
    const undated = this.#serverMs ? [] : [...this.#kept.values()].map(acknowledged).filter((key) => !this.#records.get(key));
    for (const key of undated) this.#records.set(key, serverMs);
    this.#serverMs = serverMs;
    const [key, changes] = [`receipt ${hex(id)}`, /** @type {Change[]} */ ([])];
    const held = this.#receipts.get(key);
    const isNews = held === undefined || answer.epoch > held.epoch || (answer.epoch === held.epoch && answer.n > held.n);
    if (isNews) {
      this.#receipts.set(key, answer);
      changes.push([key, answer]);
      const [oldest] = this.#receipts.size > this.#limits.receiptsMax ? this.#receipts.keys() : [];
      if (oldest !== undefined && this.#receipts.delete(oldest)) changes.push([oldest, undefined]);
    }
    if (isNews || this.#owed.size) await this.#save(changes);
    return isNews;
  }

  /** The receipt that holds. @param {Uint8Array} id */
  receipt(id) {
    return this.#receipts.get(`receipt ${hex(id)}`);
  }

  /** Keeps what was retained on a topic for a restart without signal; `undefined` forgets it. @param {string} topic @param {any} message */
  async keep(topic, message) {
    await this.#save([[`topic ${topic}`, message]]);
  }

  async close() {
    await this.#turn;
    await this.#store.close();
  }

  #newLog() {
    const { log, seq, older, ...state } = this.#records.get('state');
    return { ...state, log: this.#random(LOG_BYTES), seq: 0, older: { ...older, [hex(log)]: seq } };
  }

  #forgetOld() {
    const [changes, before] = [/** @type {Change[]} */ ([]), this.#serverMs - this.#limits.resendH * HOUR_MS];
    for (const entry of this.#kept.values()) {
      const sinceMs = this.#records.get(acknowledged(entry));
      if (this.#kept.size <= this.#limits.keptMax && (!sinceMs || sinceMs >= before)) break;
      this.#kept.delete(entry.place);
      changes.push([event(entry), undefined], [acknowledged(entry), undefined]);
    }
    return changes;
  }

  /** What is so, whether it can be written or not: if it cannot, it goes with the next write. @param {Change[]} changes */
  async #save(changes) {
    this.#apply(changes);
    try {
      await this.#write(changes);
    } catch (error) {
      for (const [key] of changes) this.#owed.add(key);
      throw error;
    }
  }

  /** @param {Change[]} changes */
  async #write(changes) {
    const owed = [...this.#owed];
    this.#owed.clear();
    try {
      await this.#store.write([...owed.map((key) => change(key, this.#records.get(key))), ...changes]);
    } catch (error) {
      for (const key of owed) this.#owed.add(key);
      throw error;
    }
  }

  /** @param {Change[]} changes */
  #apply(changes) {
    for (const [key, value] of changes) value === undefined ? this.#records.delete(key) : this.#records.set(key, value);
  }
}

/** @type {(key: string, value: any) => Change} */
const change = (key, value) => [key, value];
const event = (/** @type {{place: number}} */ entry) => `event ${entry.place}`;
const acknowledged = (/** @type {{place: number}} */ entry) => `acknowledged ${entry.place}`;
