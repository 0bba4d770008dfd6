/** A device: what is scanned is durable when `scan` resolves, and on the server as soon as there is a network. */
import { escape, faultOfEvent } from './checks.js';
import { pageClock, systemRandom, uuid7 } from './clock.js';
import { Connection } from './connection.js';
import { decode, encode, hex, toJson } from './encoding.js';
import { Closed, InvalidEvent, NotDelivered, RefusedByServer } from './errors.js';
import { Outbox } from './outbox.js';

export * from './errors.js';

/** What a server takes with the settings that it comes with. It tells its own limit in `bridge/state`. */
const PAYLOAD_BYTES_MAX = 261_888;
/** What `sent_boot` and `sent_mono_ms` add to a payload at most. */
const SENT_BYTES_MAX = 48;
const DIGESTS_MAX = 1_000;
/** Warnings about a program, not about a parcel. The repository has a test that holds this list against the server's. */
export const DEVELOPER_WARNINGS = ['seq_reused', 'unknown_field', 'id_not_uuid7', 'seq_too_high', 'mono_ahead', 'sent_back', 'points_dropped'];

const DEFAULTS = {
  random: systemRandom,
  debounceMs: 300,
  eventsMax: 100_000,
  receiptsMax: 20_000,
  keptMax: 100_000,
  resendH: 48,
  inFlightMax: 20,
  keepaliveS: 30,
  backoffFirstMs: 500,
  backoffMaxMs: 30_000,
  refusedRetryMs: 60_000,
  connectTimeoutMs: 10_000,
  ackTimeoutMs: 30_000,
  closeTimeoutMs: 2_000,
  warn: (/** @type {string} */ text) => console.warn(text),
};

/**
 * @typedef {import('./contract.d.ts').Receipt} Receipt
 * @typedef {import('./session.js').Outgoing} Outgoing
 * @typedef {import('./clock.js').Clock} Clock
 *
 * @typedef {object} Own
 * @property {string} site
 * @property {string} device
 * @property {string} [password]  Without it the device's certificate, given in `connect`, says who it is.
 * @property {import('./outbox.js').Store} store  Where its outbox is: `fileStore` of node.js, or `browserStore` of browser.js.
 * @property {(options: import('mqtt').IClientOptions) => import('mqtt').MqttClient} connect  `(options) => mqtt.connect('mqtts://bridge.local', options)`
 * @property {string} [at]  The place of every event that does not name its own.
 * @property {string} [firmware]
 * @property {() => number | undefined} [battery]  Asked for the charge in percent at each connect.
 * @property {(receipt: Receipt, id: Uint8Array) => void} [onReceipt]  A verdict that is new.
 * @property {() => void} [onChange]  It was connected, refused or cut off; something was acknowledged, or came.
 *
 * @typedef {Own & {clock?: Clock} & Partial<typeof DEFAULTS>} Options  `clock`: `systemClock()` of node.js; in a page the default will do.
 * @typedef {Own & {clock: Clock} & typeof DEFAULTS} Settings
 *
 * @typedef {import('./contract.d.ts').EventType} EventType
 *
 * @typedef {object} Scanned  What an event may say beside its type: ids and text as they were scanned; `at` a place, `by` what is on a worker's badge.
 * @property {string} [order]
 * @property {string} [parcel]
 * @property {string} [code]
 * @property {string} [at]
 * @property {string} [by]
 *
 * @typedef {object} Scan  One event, and what has become of it.
 * @property {Uint8Array} id
 * @property {Uint8Array} log
 * @property {number} seq
 * @property {() => boolean} isAcknowledged  Whether the server has stored it.
 * @property {(timeoutMs?: number) => Promise<Receipt>} receipt  What the server says of it; a later verdict holds as soon as it has come.
 */

/** The warnings that a worker is shown: those that are not for the developer alone. @param {Receipt} receipt @returns {string[]} */
export const workerWarn = (receipt) => (receipt.warn ?? []).filter((word) => !DEVELOPER_WARNINGS.includes(word));

export class Device {
  /** @type {Connection} */ connection;
  /** @type {import('./contract.d.ts').BridgeState | undefined} What the server last said of itself: its limits, its epoch. */ bridgeState;
  /** @type {Settings} @protected */ settings;
  /** @type {Outbox} @protected */ outbox;
  /** @type {string} What every topic of the site begins with. @protected */ base;
  /** @type {Set<() => void>} */ #waiters = new Set();
  /** @type {Map<string, Uint8Array>} Ids of what was sent last, by the digests with which the server names a payload that it refuses. */ #digests = new Map();
  /** @type {{draft: string, atMs: number, scan: Promise<Scan>} | undefined} */ #last;
  #hashed = Promise.resolve();
  #closed = false;

  /** Opens the outbox and begins to connect. Rejects with `OutboxError`. @param {Options} options */
  static async open(options) {
    const settings = { ...DEFAULTS, ...options, clock: options.clock ?? pageClock(options.random ?? systemRandom) };
    const device = new this(settings, await Outbox.open(settings.store, `${settings.site}/${settings.device}`, settings, settings.random));
    for (const [topic, message] of device.outbox.topics) device.heard(topic, message);
    device.connection.start();
    return device;
  }

  /** Use `open`. @param {Settings} settings @param {Outbox} outbox @protected */
  constructor(settings, outbox) {
    [this.settings, this.outbox, this.base] = [settings, outbox, `v1/${escape(settings.site)}`];
    const jitter = () => new DataView(settings.random(4).buffer).getUint32(0) / 2 ** 32;
    this.connection = new Connection({ newClient: () => settings.connect(this.#mqttOptions()), jitter, onChange: () => this.#changed() }, this, settings);
  }

  /** How many events the server has not acknowledged. */
  get backlog() { return this.outbox.backlog; }
  /** The log of this outbox, its last number, and the id of that event: after a crash in a scan, a program sees whether it was stored. */
  get last() { return { log: this.outbox.log, ...this.outbox.last }; }

  /**
   * Stores an event and resolves when it is durable; it is sent as soon as there is a connection. A bouncing trigger (the very same scan again within
   * `debounceMs`) makes no second event. Rejects with `InvalidEvent`, `OutboxFull`, `OutboxError` or `Closed`: then nothing was stored.
   *
   * @template {EventType} Type @param {Type} type
   * @param {Scanned & {body?: import('./contract.d.ts').Bodies[Type]}} [scanned] @returns {Promise<Scan>}
   */
  async scan(type, scanned = {}) {
    if (this.#closed) throw new Closed();
    const [draft, atMs, last] = [`${type} ${draftOf(scanned)}`, this.settings.clock.monoMs(), this.#last];
    if (last !== undefined && last.draft === draft && atMs - last.atMs < this.settings.debounceMs) return last.scan;
    const scan = this.#store(type, scanned);
    this.#last = { draft, atMs, scan };
    scan.catch(() => { this.#last = undefined; });
    return scan;
  }

  /** The receipt as it is known now, also after a restart. @param {Uint8Array} id @returns {Receipt | undefined} */
  receipt(id) {
    const answer = this.outbox.receipt(id);
    return answer && decode(answer.payload);
  }

  /** Waits until the server has acknowledged everything. Rejects as `wait`. @param {number} [timeoutMs] */
  async drain(timeoutMs) {
    await this.wait(() => this.backlog === 0 || undefined, timeoutMs);
  }

  /**
   * What `look` finds, once it finds something; it is asked again whenever anything has changed. Rejects with `NotDelivered`, `RefusedByServer` or `Closed`.
   * @template T @param {() => T | undefined} look @param {number} [timeoutMs] @returns {Promise<T>}
   */
  wait(look, timeoutMs) {
    return new Promise((resolve, reject) => {
      const end = () => { this.#waiters.delete(check); clearTimeout(timer); };
      const check = () => {
        const found = look();
        if (found === undefined && !this.#closed) return;
        end();
        found === undefined ? reject(new Closed()) : resolve(found);
      };
      const late = () => {
        end();
        const { refused } = this.connection;
        reject(refused === undefined ? new NotDelivered(`waited ${timeoutMs} ms`) : new RefusedByServer(refused));
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
      this.#waiters.add(check);
      check();
    });
  }

  /** Says goodbye to the server and closes the outbox. What was not acknowledged stays in it and is sent next time. */
  async close() {
    this.#closed = true;
    await this.connection.close();
    this.#changed();
    await this.outbox.close();
  }

  // --- for the connection (`Traffic`) -----------------------------------------------------------------------------------

  /** @returns {string[]} */
  filters() {
    return [this.topic('receipts'), `${this.base}/bridge/state`];
  }

  /** One for each log of which events are kept, so that a server that was restored can ask for them; the present one last. @param {boolean} online */
  presences(online) {
    const { clock, battery, firmware } = this.settings;
    const more = { online, boot: clock.boot, battery_percent: battery?.(), firmware, at_ms: clock.wallMs(), mono_ms: clock.monoMs() };
    const older = online ? this.outbox.olderLogs.map(({ log, seq }) => ({ log, last_seq: seq, backlog: 0 })) : [];
    return [...older, { log: this.last.log, last_seq: this.last.seq, backlog: this.backlog }].map((log) => this.#presence({ ...more, ...log }));
  }

  /** @param {boolean} _sessionPresent */
  async connected(_sessionPresent) {
    this.outbox.startRun();
  }

  /** @param {number} room @returns {Outgoing[]} */
  take(room) {
    return this.outbox.take(room, ({ payload }) => payload.length <= this.#bytesMax).map((entry) => this.#outgoing(entry));
  }

  /** @param {string} topic @param {Uint8Array} payload */
  async receive(topic, payload) {
    let message;
    try {
      message = payload.length ? decode(payload) : undefined;
    } catch (error) {
      return this.#warn(`what came on ${topic} cannot be read`, error); // it would come again for ever
    }
    try {
      if (topic === this.topic('receipts')) await this.#answered(message ?? {}, payload);
      else for (const [name, kept] of this.heard(topic, message)) await this.outbox.keep(name, kept);
    } finally {
      this.#changed();
    }
  }

  /**
   * Takes what is retained on a topic. Returns what is to be kept, by topic.
   * @param {string} topic @param {any} message @returns {[string, any][]} @protected
   */
  heard(topic, message) {
    if (topic !== `${this.base}/bridge/state` || message === undefined) return [];
    this.bridgeState = message;
    return [[topic, message]];
  }

  // --- below ------------------------------------------------------------------------------------------------------------

  /** @param {string} below @protected */
  topic(below) {
    return `${this.base}/devices/${escape(this.settings.device)}/${below}`;
  }

  get #bytesMax() {
    return (this.bridgeState?.limits?.payload_bytes_max ?? PAYLOAD_BYTES_MAX) - SENT_BYTES_MAX;
  }

  #changed() {
    for (const check of [...this.#waiters]) check();
    this.#call(() => this.settings.onChange?.());
  }

  /** What a program makes of news must not keep the device from its work. @param {() => void} listener */
  #call(listener) {
    try {
      listener();
    } catch (error) {
      this.#warn('a listener failed', error);
    }
  }

  /** @param {string} what @param {any} error */
  #warn(what, error) {
    this.settings.warn(`${this.settings.device}: ${what}: ${error.message}`);
  }

  /** @param {string} type @param {Scanned} scanned @returns {Promise<Scan>} */
  async #store(type, scanned) {
    const { clock, random, at } = this.settings;
    const [at_ms, mono_ms, boot] = [clock.wallMs(), clock.monoMs(), clock.boot];
    const happened = { body: {}, at, ...scanned, id: uuid7(at_ms, random), boot, mono_ms, at_ms, tz_min: clock.tzMin() };
    const entry = await this.outbox.put((log, seq) => {
      const event = { ...happened, log, seq };
      const fault = faultOfEvent(type, { ...event, sent_boot: boot, sent_mono_ms: mono_ms });
      if (fault) throw new InvalidEvent(fault);
      const payload = encode(event);
      if (payload.length > this.#bytesMax) throw new InvalidEvent(`${payload.length} bytes; the server takes ${this.#bytesMax}: split it`);
      return { id: event.id, type, payload };
    });
    this.connection.wake();
    const { id, log, seq } = entry;
    return { id, log, seq, isAcknowledged: () => !this.outbox.holds(entry), receipt: (timeoutMs) => this.wait(() => this.receipt(id), timeoutMs) };
  }

  /** @param {import('./outbox.js').Entry} entry @returns {Outgoing} */
  #outgoing(entry) {
    const { clock } = this.settings;
    const payload = encode({ ...decode(entry.payload), sent_boot: clock.boot, sent_mono_ms: clock.monoMs() });
    this.#hashed = this.#hashed.then(() => this.#remember(payload, entry.id));
    const onAcknowledged = () => {
      this.outbox.acknowledge(entry).catch((error) => this.#warn('an acknowledgement is not on the disk yet', error));
      this.#changed();
    };
    return { topic: this.topic(`events/${entry.type}`), payload, qos: 1, onAcknowledged };
  }

  /** Pages over plain http have no SHA-256: there a refusal is known by its id alone. @param {Uint8Array} payload @param {Uint8Array} id */
  async #remember(payload, id) {
    if (crypto.subtle === undefined) return;
    const digest = await crypto.subtle.digest('SHA-256', /** @type {Uint8Array<ArrayBuffer>} */ (payload));
    this.#digests.set(hex(new Uint8Array(digest, 0, 8)), id);
    const [oldest] = this.#digests.size > DIGESTS_MAX ? this.#digests.keys() : [];
    if (oldest !== undefined) this.#digests.delete(oldest);
  }

  /** A receipt came, or the server says what it lacks. @param {any} message @param {Uint8Array} payload */
  async #answered(message, payload) {
    if (message.resend !== undefined) {
      this.outbox.sendAgain(message.resend);
      this.connection.wake();
      return;
    }
    /** @type {Receipt} */ const receipt = message;
    await this.#hashed;
    if (receipt.warn?.includes('seq_reused') && receipt.log !== undefined) this.outbox.endLog(receipt.log);
    const id = (receipt.digest && this.#digests.get(hex(receipt.digest))) ?? receipt.id;
    if (id === undefined) return;
    // A receipt with a digest is about one payload as it was sent: whatever was said of the event itself holds against it.
    const n = receipt.digest === undefined ? receipt.n : 0;
    if (await this.outbox.answer(id, { epoch: receipt.epoch ?? 0, n, payload }, receipt.at_ms)) this.#call(() => this.settings.onReceipt?.(receipt, id));
  }

  /** @param {object} presence @returns {Outgoing} */
  #presence(presence) {
    return { topic: this.topic('presence'), payload: encode(presence), qos: 1, retain: true };
  }

  /** @returns {import('mqtt').IClientOptions} */
  #mqttOptions() {
    const { device, password, keepaliveS, connectTimeoutMs, clock } = this.settings;
    const will = this.#presence({ online: false, boot: clock.boot });
    return {
      clientId: device, username: device, password, clean: false, protocolVersion: 4, keepalive: keepaliveS, connectTimeout: connectTimeoutMs,
      will: { topic: will.topic, payload: /** @type {Buffer} */ (will.payload), qos: 1, retain: true },
      manualConnect: true, reconnectPeriod: 0, resubscribe: false, queueQoSZero: false, // the outbox is the only queue, `Connection` the only loop
    };
  }
}

/** @param {Scanned} scanned */
function draftOf(scanned) {
  try {
    return toJson(scanned);
  } catch (error) {
    throw new InvalidEvent(/** @type {Error} */ (error).message);
  }
}
