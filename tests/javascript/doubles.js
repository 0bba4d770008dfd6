/** Doubles at the client's own ports: a store in memory, and a server behind a client of MQTT.js. */
import { EventEmitter } from 'node:events';
import { decode, encode } from '../../devices/examples/javascript/encoding.js';

export const SITE = 'ams1';
export const RECEIPTS = `v1/${SITE}/devices/scan-1/receipts`;
export const STATE = `v1/${SITE}/bridge/state`;

/** Keeps what was written over `close`; while `broken`, it writes nothing. */
export class MemoryStore {
  records = new Map();
  broken = false;

  async open() {
    return new Map(this.records);
  }

  async write(changes) {
    if (this.broken) throw new Error('no space');
    for (const [key, value] of changes) value === undefined ? this.records.delete(key) : this.records.set(key, value);
  }

  async close() {}
}

/** Takes what a device publishes, and answers as a test says. */
export class FakeServer {
  steps = [];
  published = [];
  held = [];
  clients = [];
  acknowledging = true;
  refusing = 0;
  sessionPresent = false;
  denied = [];

  connect = (options) => new FakeClient(this, options);

  get events() {
    return this.published.filter(({ topic }) => topic.includes('/events/')).map(({ payload }) => payload);
  }

  /** Publishes to the device; resolves to whether it acknowledged. */
  tell(topic, message) {
    const payload = message instanceof Uint8Array ? message : encode(message);
    return new Promise((resolve) => this.clients.at(-1).handleMessage({ topic, payload }, (error) => resolve(error === undefined)));
  }

  receipt(event, more = {}) {
    const { id, log, seq } = event;
    return this.tell(RECEIPTS, { n: 1, final: true, outcome: 'applied', tone: 'ok', type: 'pack', at_ms: 1_000, id, log, seq, ...more });
  }

  cut() {
    this.clients.at(-1).emit('close');
  }
}

class FakeClient extends EventEmitter {
  constructor(server, options) {
    super();
    [this.server, this.options] = [server, options];
    server.clients.push(this);
  }

  connect() {
    this.server.steps.push('connect');
    queueMicrotask(() => {
      if (this.server.refusing) this.emit('error', Object.assign(new Error('refused'), { code: this.server.refusing }));
      else this.emit('connect', { sessionPresent: this.server.sessionPresent });
    });
  }

  subscribe(filters, { qos }, done) {
    this.server.steps.push(`subscribe ${filters.join(' ')}`);
    queueMicrotask(() => done(null, [], { granted: filters.map((filter) => (this.server.denied.includes(filter) ? 0x80 : qos)) }));
  }

  publish(topic, payload, { qos, retain }, done) {
    const what = topic.split('/').slice(4).join('/');
    this.server.steps.push(`publish ${what}`);
    this.server.published.push({ topic, payload: decode(payload), bytes: payload, qos, retain });
    if (this.server.acknowledging || !topic.includes('/events/')) queueMicrotask(() => done());
    else this.server.held.push(done);
  }

  end(_force, done) {
    if (this.ended) return;
    this.ended = true;
    this.server.steps.push('end');
    queueMicrotask(() => { this.emit('close'); done?.(); });
  }
}

/** Waits until something is so. */
export async function until(isSo, what = String(isSo)) {
  for (const endMs = Date.now() + 5_000; !isSo();) {
    if (Date.now() > endMs) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
