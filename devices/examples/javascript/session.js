/**
 * One MQTT 3.1.1 connection of a device, from its CONNECT to its end, over a client of MQTT.js that is made for it and used once. So that client's own
 * reconnect, resubscribe and outgoing store never come into play: what was not acknowledged when it ends is handed over again on the next one.
 *
 * @typedef {object} Outgoing
 * @property {string} topic
 * @property {Uint8Array} payload
 * @property {0 | 1} qos
 * @property {boolean} [retain]
 * @property {() => void} [onAcknowledged]
 *
 * @typedef {object} Traffic  What a connection carries.
 * @property {() => string[]} filters  Topic filters to subscribe to; without the first there is no connection.
 * @property {(online: boolean) => Outgoing[]} presences
 * @property {(sessionPresent: boolean) => Promise<void>} connected  What was handed over before and not acknowledged is to be handed over again.
 * @property {(room: number) => Outgoing[]} take  What to publish next: at most `room` messages of QoS 1.
 * @property {(topic: string, payload: Uint8Array) => Promise<void>} receive  Resolves when it is stored; then it is acknowledged.
 *
 * @typedef {{inFlightMax: number, connectTimeoutMs: number, ackTimeoutMs: number, closeTimeoutMs: number}} Patience
 */

/** CONNACK codes (MQTT 3.1.1 §3.2.2.3) that do not pass by waiting; 3 is "server unavailable". */
const REFUSALS = [1, 2, 4, 5];
const FAILURE = 0x80;

/** The connection is over. */
export class Lost extends Error {}
/** The server does not want this device, now or soon. */
export class Refused extends Error {}

export class Session {
  /** Whether the server acknowledged anything. */ acknowledged = false;
  /** @type {import('mqtt').MqttClient} */ #client;
  /** @type {Traffic} */ #traffic;
  /** @type {Patience} */ #patience;
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */ #timers = {};
  /** @type {(error: Error) => void} */ #lose = () => {};
  /** @type {() => void} */ #finish = () => {};
  #inFlight = 0;
  #online = false;
  #leaving = false;
  #lost = new Promise((/** @type {(_: never) => void} */ _, reject) => { this.#lose = reject; });
  #left = new Promise((/** @type {(_: void) => void} */ resolve) => { this.#finish = resolve; });

  /** @param {import('mqtt').MqttClient} client @param {Traffic} traffic @param {Patience} patience */
  constructor(client, traffic, patience) {
    [this.#client, this.#traffic, this.#patience] = [client, traffic, patience];
    this.#lost.catch(() => {});
    client.on('error', (/** @type {any} */ error) => this.#lose(REFUSALS.includes(error.code) ? new Refused(error.message) : new Lost(error.message)));
    client.on('close', () => this.#lose(new Lost('the connection ended')));
    client.handleMessage = (packet, done) => {
      traffic.receive(packet.topic, /** @type {Uint8Array} */ (packet.payload)).then(() => done(), (error) => {
        // Without its PUBACK it comes again on the next connection. Until then, events still leave.
        this.#loseAfter('unstored', patience.ackTimeoutMs, 'what came could not be stored');
        done(error);
      });
    };
  }

  /** Resolves when it was left on purpose; rejects with `Refused` or `Lost`. @param {(denied: string[]) => void} onOnline  Takes the filters not granted. */
  async run(onOnline) {
    const client = this.#client;
    try {
      const connack = new Promise((/** @type {(packet: import('mqtt').IConnackPacket) => void} */ resolve) => client.once('connect', resolve));
      client.connect();
      await this.#traffic.connected((await this.#soon(connack, 'CONNACK')).sessionPresent);
      const filters = this.#traffic.filters();
      const granted = await this.#soon(this.#subscribe(filters), 'SUBACK');
      if (granted[0] === FAILURE) throw new Refused(`the server does not let this device read ${filters[0]}; is that the site's name?`);
      for (const presence of this.#traffic.presences(true)) this.#publish(presence);
      this.#online = true;
      onOnline(filters.filter((_, at) => granted[at] === FAILURE));
      this.wake();
      await Promise.race([this.#left, this.#lost]);
    } finally {
      this.#online = false;
      for (const timer of Object.values(this.#timers)) clearTimeout(timer);
      client.end(true);
    }
  }

  /** There is something to take. */
  wake() {
    if (!this.#online || this.#leaving) return;
    for (const outgoing of this.#traffic.take(this.#patience.inFlightMax - this.#inFlight)) this.#publish(outgoing);
  }

  /** Says goodbye. What is in flight gets `closeTimeoutMs` to be acknowledged. */
  leave() {
    if (!this.#online) return this.#lose(new Lost('closed'));
    for (const presence of this.#traffic.presences(false)) this.#publish(presence);
    this.#leaving = true;
    this.#timers.leaving = setTimeout(this.#finish, this.#patience.closeTimeoutMs);
  }

  /** @param {string[]} filters @returns {Promise<number[]>} */
  #subscribe(filters) {
    return new Promise((resolve) => {
      // If a filter is refused, MQTT.js reports an error and the SUBACK beside it.
      this.#client.subscribe(filters, { qos: 1 }, (_error, _asked, suback) => { if (suback) resolve(/** @type {number[]} */ (suback.granted)); });
    });
  }

  /** @param {Outgoing} outgoing */
  #publish({ topic, payload, qos, retain = false, onAcknowledged }) {
    if (qos === 1 && this.#inFlight++ === 0) this.#expectAck();
    this.#client.publish(topic, /** @type {Buffer} */ (payload), { qos, retain }, (error) => {
      if (error || qos === 0) return;
      this.acknowledged = true;
      this.#inFlight -= 1;
      this.#expectAck();
      onAcknowledged?.();
      if (this.#leaving && !this.#inFlight) this.#client.end(false, () => this.#finish());
      this.wake();
    });
  }

  /** Within a connection nothing is sent twice: an event that the server could not store goes again on the next one. */
  #expectAck() {
    clearTimeout(this.#timers.overdue);
    delete this.#timers.overdue;
    if (this.#inFlight) this.#loseAfter('overdue', this.#patience.ackTimeoutMs, 'no acknowledgement in time');
  }

  /** @template T @param {Promise<T>} answer @param {string} name @returns {Promise<T>} */
  #soon(answer, name) {
    this.#loseAfter(name, this.#patience.connectTimeoutMs, `no ${name} in time`);
    return Promise.race([answer, this.#lost]).finally(() => clearTimeout(this.#timers[name]));
  }

  /** @param {string} name @param {number} ms @param {string} why */
  #loseAfter(name, ms, why) {
    this.#timers[name] ??= setTimeout(() => this.#lose(new Lost(why)), ms);
  }
}
