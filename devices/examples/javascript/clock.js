/**
 * The clocks of a device. The server turns (boot, mono_ms) into the time of an event, so `monoMs` must count while the device sleeps.
 *
 * @typedef {object} Clock
 * @property {Uint8Array} boot  8 bytes, the same for everything on one monotonic clock.
 * @property {() => number} monoMs  Milliseconds on the monotonic clock of `boot`.
 * @property {() => number} wallMs  Milliseconds since 1970 UTC, as the device believes it.
 * @property {() => number | undefined} tzMin  The present offset from UTC in minutes, if it is known.
 *
 * @typedef {(n: number) => Uint8Array} Random  n random bytes.
 */

/** @type {Random} */
export const systemRandom = (n) => crypto.getRandomValues(new Uint8Array(n));

/** The clocks of a page: a boot is one load of it. `node.js` has better ones for Node.js. @param {Random} random @returns {Clock} */
export function pageClock(random) {
  const boot = random(8);
  return {
    boot,
    monoMs: () => Math.floor(performance.now()),
    wallMs: () => Math.max(0, Date.now()), // a clock set before 1970 cannot cross the wire
    tzMin: () => -new Date().getTimezoneOffset(),
  };
}

/** A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix time in ms, then version, variant and 74 random bits. @param {number} atMs @param {Random} random */
export function uuid7(atMs, random) {
  const id = new Uint8Array(16);
  const view = new DataView(id.buffer);
  view.setUint16(0, Math.floor(atMs / 2 ** 32) % 2 ** 16);
  view.setUint32(2, atMs % 2 ** 32);
  id.set(random(10), 6);
  id[6] = 0x70 | (/** @type {number} */ (id[6]) & 0x0f); // version 7
  id[8] = 0x80 | (/** @type {number} */ (id[8]) & 0x3f); // variant 10
  return id;
}
