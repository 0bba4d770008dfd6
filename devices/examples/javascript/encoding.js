/** How payloads are encoded: CBOR in core deterministic encoding (RFC 8949 §4.2.1). What the server publishes may be JSON, with bytes as hex. */
import { Encoder } from 'cbor-x';

// Out of the box cbor-x writes records and tagged byte arrays, which the contract refuses, and reads large integers as BigInt.
const cbor = new Encoder(
  /** @type {import('cbor-x').Options} */ ({
    useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true, copyBuffers: true, int64AsNumber: true,
  }),
);

/** Fields that are bytes wherever they stand; in JSON they are lowercase hex. */
const BYTES_FIELDS = new Set(['id', 'log', 'boot', 'sent_boot', 'digest', 'hash', 'ref', 'corrective']);
const UINT32_MAX = 0xffffffff;

/** @param {unknown} value @returns {Uint8Array} */
export function encode(value) {
  return new Uint8Array(cbor.encode(prepared(value)));
}

/** A payload's plain value; throws if it is neither CBOR nor JSON. @param {Uint8Array} payload @returns {any} */
export function decode(payload) {
  if (payload[0] === 0x7b) return fromJson(new TextDecoder().decode(payload));
  return cbor.decode(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)); // never a Buffer, so that no bytes in it are one
}

/** @param {string} text @returns {any} */
export function fromJson(text) {
  return withBytes(JSON.parse(text));
}

/** @param {unknown} value */
export function toJson(value) {
  return JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? hex(inner) : inner));
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} text */
export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {Uint8Array} one @param {Uint8Array} other */
export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Keys in their order, what is not set left out, and integers as such: beyond 32 bits cbor-x writes a number as a float. @param {any} value @returns {any} */
function prepared(value) {
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) > UINT32_MAX ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(prepared);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const keys = Object.keys(value).filter((key) => (value[key] ?? null) !== null);
  keys.sort((one, other) => one.length - other.length || (one < other ? -1 : 1));
  return Object.fromEntries(keys.map((key) => [key, prepared(value[key])]));
}

/** @param {any} value @param {string} [name] @returns {any} */
function withBytes(value, name = '') {
  if (Array.isArray(value)) return value.map((item) => withBytes(item, name));
  if (typeof value === 'string' && BYTES_FIELDS.has(name) && /^(?:[0-9a-f]{2})*$/.test(value)) return fromHex(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withBytes(inner, key)]));
}
