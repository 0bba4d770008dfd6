/** Keeps a device connected until it is closed: connects, and comes back. */
import { Refused, Session } from './session.js';

const DOUBLINGS_MAX = 32;

/**
 * @typedef {import('./session.js').Patience & {backoffFirstMs: number, backoffMaxMs: number, refusedRetryMs: number}} Terms
 *
 * @typedef {object} Owner
 * @property {() => import('mqtt').MqttClient} newClient  A client of MQTT.js that has not connected yet.
 * @property {() => number} jitter  From 0 to 1.
 * @property {() => void} onChange  `connected` or `refused` has changed.
 */

/** Full jitter over a span that doubles, so that a warehouse that lost its server does not come back in step. @param {number} attempt @param {Terms} terms */
const spanMs = (attempt, { backoffFirstMs, backoffMaxMs }) => Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(attempt, DOUBLINGS_MAX));

export class Connection {
  connected = false;
  /** @type {string | undefined} Why the server refused the device the last time it answered. */ refused;
  /** @type {string | undefined} Why the last connection ended, for a log. */ lost;
  /** @type {string[]} Topic filters that the server did not grant. */ denied = [];
  /** @type {Owner} */ #owner;
  /** @type {import('./session.js').Traffic} */ #traffic;
  /** @type {Terms} */ #terms;
  /** @type {Session | undefined} */ #session;
  /** @type {Promise<void> | undefined} */ #running;
  #closing = false;
  #endPause = () => {};

  /** @param {Owner} owner @param {import('./session.js').Traffic} traffic @param {Terms} terms */
  constructor(owner, traffic, terms) {
    [this.#owner, this.#traffic, this.#terms] = [owner, traffic, terms];
  }

  start() {
    this.#running = this.#run();
  }

  /** There is something to send. */
  wake() {
    this.#session?.wake();
  }

  /** There is a network again: do not wait for the end of the backoff. */
  retryNow() {
    if (this.refused === undefined) this.#endPause();
  }

  /** Says goodbye, and ends. */
  async close() {
    this.#closing = true;
    this.#session?.leave();
    this.#endPause();
    await this.#running;
  }

  async #run() {
    let failures = 0;
    while (!this.#closing) {
      failures = (await this.#attempt()) ? 0 : failures + 1;
      if (!this.#closing) await this.#pause(failures);
    }
  }

  /** One connection. Returns whether the server acknowledged anything on it. */
  async #attempt() {
    let session;
    try {
      session = this.#session = new Session(this.#owner.newClient(), this.#traffic, this.#terms);
      await session.run((denied) => {
        [this.connected, this.refused, this.denied] = [true, undefined, denied];
        this.#owner.onChange();
      });
    } catch (error) {
      // Whatever it was: a device that stops trying is worse.
      this.lost = /** @type {Error} */ (error).message;
      if (error instanceof Refused) this.refused = error.message;
    }
    [this.#session, this.connected] = [undefined, false];
    this.#owner.onChange();
    return session?.acknowledged ?? false;
  }

  /** @param {number} failures */
  async #pause(failures) {
    const jitter = this.#owner.jitter();
    const ms = this.refused === undefined ? jitter * spanMs(Math.max(0, failures - 1), this.#terms) : this.#terms.refusedRetryMs * (0.5 + jitter / 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => { clearTimeout(timer); resolve(undefined); };
    });
  }
}
