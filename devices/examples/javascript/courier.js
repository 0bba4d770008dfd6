/** A courier's phone: jobs come in, what happens at the door goes out, and so does where the courier is. */
import { escape, faultOfPoint } from './checks.js';
import { Device } from './device.js';
import { encode } from './encoding.js';
import { InvalidEvent } from './errors.js';

export * from './device.js';

const OPEN = ['assigned', 'accepted'];
const JOBS_MAX = 1_000;
/** A day of driving at one point every five seconds. */
const POINTS_MAX = 20_000;
const BATCH_POINTS_MAX = 500;

/**
 * @typedef {import('./contract.d.ts').Assignment} Assignment
 * @typedef {import('./contract.d.ts').Point} Point
 */

export class Courier extends Device {
  /** @type {Map<string, Assignment>} By topic. */ #jobs = new Map();
  /** @type {Point[]} */ #live = [];
  /** @type {Point[]} Made without a connection. */ #late = [];
  /** @type {Set<Point[]>} */ #sent = new Set();

  /** @param {import('./device.js').Options & {courier: string}} options `courier`: whose jobs come to this phone. @returns {Promise<Courier>} */
  static async open(options) {
    return /** @type {Courier} */ (await super.open(options));
  }

  /** The courier's open jobs by id, as last heard; also after a restart without signal. */
  get jobs() {
    return new Map([...this.#jobs.values()].map((assignment) => [assignment.job, assignment]));
  }

  /** An open job, waiting for it: the one named, or any. @param {number} [timeoutMs] @param {string} [job] @returns {Promise<Assignment>} */
  waitJob(timeoutMs, job) {
    return this.wait(() => (job === undefined ? this.jobs.values().next().value : this.jobs.get(job)), timeoutMs);
  }

  /** Takes a job, as this phone last heard of it. @param {string} job @param {import('./device.js').Scanned} [scanned] */
  async claim(job, scanned = {}) {
    const rev = this.jobs.get(job)?.rev;
    if (rev === undefined) throw new InvalidEvent(`no open job ${job} is known here`);
    return this.scan('claim', { ...scanned, body: { job, rev } });
  }

  /** The courier is here now: degrees, metres, metres per second. Without a fix (0, 0) nothing is sent. @param {{lat: number, lon: number, accuracyM: number, speedMS?: number}} fix */
  location({ lat, lon, accuracyM, speedMS }) {
    const speed = speedMS === undefined ? null : Math.round(speedMS * 10);
    this.locations([[this.settings.clock.monoMs(), Math.round(lat * 1e7), Math.round(lon * 1e7), Math.ceil(accuracyM), speed]]);
  }

  /** The courier was here, at times of this boot's monotonic clock. Kept in memory only, the newest of them. @param {Point[]} points */
  locations(points) {
    for (const point of points) {
      const wrong = faultOfPoint(point);
      if (wrong) throw new InvalidEvent(wrong);
    }
    this.#live = [...this.#live, ...points.filter(([, lat, lon]) => lat || lon)].slice(-POINTS_MAX);
    this.connection.wake();
  }

  // --- for the connection -------------------------------------------------------------------------------------------------

  /** @returns {string[]} */
  filters() {
    return [...super.filters(), `${this.#assignments}+`];
  }

  /** @param {boolean} sessionPresent */
  async connected(sessionPresent) {
    await super.connected(sessionPresent);
    this.#late = [...this.#sent, this.#late, this.#live].flat().sort((one, other) => one[0] - other[0]).slice(-POINTS_MAX);
    this.#live = [];
    this.#sent.clear();
    if (sessionPresent) return;
    // The server forgot what it owed this phone: a job that was closed meanwhile will not be cleared, and open ones come again.
    for (const topic of this.#jobs.keys()) await this.outbox.keep(topic, undefined).catch(() => {});
    this.#jobs.clear();
  }

  /** @param {number} room @returns {import('./session.js').Outgoing[]} */
  take(room) {
    const taken = super.take(room);
    while (this.#live.length) taken.push(this.#batch(this.#live.splice(0, BATCH_POINTS_MAX), 0));
    for (let left = room - taken.filter((outgoing) => outgoing.qos).length; left > 0 && this.#late.length; left -= 1) {
      const points = this.#late.splice(0, BATCH_POINTS_MAX);
      this.#sent.add(points);
      taken.push({ ...this.#batch(points, 1), onAcknowledged: () => this.#sent.delete(points) });
    }
    return taken;
  }

  /** @param {string} topic @param {any} message @returns {[string, any][]} @protected */
  heard(topic, message) {
    if (!topic.startsWith(this.#assignments)) return [...super.heard(topic, message), ...this.#undone()];
    const held = this.#jobs.get(topic);
    if (message && held && ((message.epoch ?? 0) - (held.epoch ?? 0) || message.rev - held.rev) < 0) return [];
    const isOpen = OPEN.includes(message?.state) && (held !== undefined || this.#jobs.size < JOBS_MAX);
    isOpen ? this.#jobs.set(topic, message) : this.#jobs.delete(topic);
    return [[topic, isOpen ? message : undefined]];
  }

  /** A server that was restored tells the jobs that it has anew; of the others it knows nothing. @returns {[string, undefined][]} */
  #undone() {
    const undone = [...this.#jobs].filter(([, job]) => (job.epoch ?? 0) < (this.bridgeState?.epoch ?? 0)).map(([topic]) => topic);
    for (const topic of undone) this.#jobs.delete(topic);
    return undone.map((topic) => [topic, undefined]);
  }

  get #assignments() {
    return `${this.base}/couriers/${escape(/** @type {any} */ (this.settings).courier)}/assignments/`;
  }

  /** @param {Point[]} points @param {0 | 1} qos @returns {import('./session.js').Outgoing} */
  #batch(points, qos) {
    const { clock } = this.settings;
    return { topic: this.topic('location'), payload: encode({ log: this.last.log, boot: clock.boot, sent_mono_ms: clock.monoMs(), points }), qos };
  }
}
