/** Payloads as the contract wants them, whatever cbor-x would make of them by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uuid7 } from '../../devices/examples/javascript/clock.js';
import { decode, encode, fromHex, fromJson, hex, toJson } from '../../devices/examples/javascript/encoding.js';

const VALUE = {
  seq: 24, id: Uint8Array.of(0, 1, 2), at_ms: 1_796_046_081_417, body: { sku: 'é', qty: 1, far: -(2 ** 40) }, points: [[1, -523_700_000, null, 2 ** 32]],
  left_out_name_of_24_chars: true,
};
/** What the server's own encoder makes of it. */
const CBOR = 'a66269644300010263736571181864626f6479a3636661723b000000ffffffffff637174790163736b7562c3a96561745f6d731b000001a22cb04d8966706f696e74738184013a1f37071f'
  + 'f61b000000010000000078196c6566745f6f75745f6e616d655f6f665f32345f6368617273f5';

test('deterministic CBOR: keys in order, integers as such, bytes without a tag, nothing for what is not set', () => {
  assert.equal(hex(encode({ ...VALUE, code: undefined, by: null })), CBOR);
  assert.deepEqual(decode(fromHex(CBOR)), VALUE);
  assert.equal(decode(Buffer.from(CBOR, 'hex')).id.constructor, Uint8Array);
});

test('JSON has bytes as hex, in the fields that are bytes', () => {
  const receipt = { id: Uint8Array.of(0xab, 1), order: 'ab01', corrective: [Uint8Array.of(2)] };
  assert.equal(toJson(receipt), '{"id":"ab01","order":"ab01","corrective":["02"]}');
  assert.deepEqual(fromJson(toJson(receipt)), receipt);
  assert.deepEqual(decode(new TextEncoder().encode(toJson(receipt))), receipt);
});

test('what is cut, or has more behind it, is refused', () => {
  for (const broken of [CBOR.slice(0, -2), `${CBOR}00`, '7b22']) assert.throws(() => decode(fromHex(broken)));
});

test('an id is a UUIDv7, also of a clock that was never set', () => {
  const random = (/** @type {number} */ n) => new Uint8Array(n).fill(0xff);
  assert.equal(hex(uuid7(1_796_046_081_417, random)), '01a22cb04d897fffbfffffffffffffff');
  assert.equal(hex(uuid7(0, random)), '0000000000007fffbfffffffffffffff');
});
