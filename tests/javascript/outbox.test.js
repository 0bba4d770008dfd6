/** The outbox: what a device owes, what it keeps, and what it does if its store cannot write. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../devices/examples/javascript/clock.js';
import { hex } from '../../devices/examples/javascript/encoding.js';
import { OutboxFull } from '../../devices/examples/javascript/errors.js';
import { Outbox } from '../../devices/examples/javascript/outbox.js';
import { MemoryStore } from './doubles.js';

const LIMITS = { eventsMax: 100, receiptsMax: 3, keptMax: 4, resendH: 48 };
const HOUR_MS = 3_600_000;
const ALL = () => true;

const open = (store = new MemoryStore(), limits = LIMITS) => Outbox.open(store, 'ams1/scan-1', limits, systemRandom);
const made = () => ({ id: systemRandom(16), type: 'pack', payload: Uint8Array.of(1, 2, 3) });
const seqs = (entries) => entries.map((entry) => entry.seq);

async function filled(outbox, count) {
  const entries = [];
  for (let n = 0; n < count; n += 1) entries.push(await outbox.put(made));
  return entries;
}

test('what was stored is there after a restart, with its log and numbers', async () => {
  const store = new MemoryStore();
  const before = await open(store);
  const [first] = await filled(before, 2);
  await before.acknowledge(first);
  const after = await open(store);
  assert.equal(hex(after.log), hex(before.log));
  assert.deepEqual([after.last.seq, after.backlog, seqs(after.take(10, ALL))], [2, 1, [2]]);
  assert.equal((await after.put(made)).seq, 3);
});

test('an outbox of another device is refused', async () => {
  const store = new MemoryStore();
  await open(store);
  await assert.rejects(Outbox.open(store, 'ams1/scan-2', LIMITS, systemRandom), /belongs to ams1\/scan-1/);
});

test('fresh events go first, then the backlog, the oldest first; each once a run', async () => {
  const outbox = await open();
  await filled(outbox, 3);
  outbox.startRun();
  await filled(outbox, 2);
  assert.deepEqual(seqs(outbox.take(3, ALL)), [4, 5, 1]);
  assert.deepEqual(seqs(outbox.take(9, ALL)), [2, 3]);
  assert.deepEqual(seqs(outbox.take(9, ALL)), []);
  outbox.startRun();
  assert.deepEqual(seqs(outbox.take(9, ALL)), [1, 2, 3, 4, 5]);
});

test('what was acknowledged is kept, and sent again only if the server asks for it', async () => {
  const store = new MemoryStore();
  const outbox = await open(store);
  const entries = await filled(outbox, 5);
  for (const entry of entries.slice(0, 3)) await outbox.acknowledge(entry);
  const again = await open(store);
  assert.deepEqual(seqs(again.take(9, ALL)), [4, 5]);
  again.sendAgain({ log: again.log, from: 2, to: 4 });
  assert.deepEqual(seqs(again.take(9, ALL)), [2, 3]);
  again.sendAgain({ log: systemRandom(8), from: 1, to: 5 });
  assert.deepEqual(seqs(again.take(9, ALL)), []);
  assert.equal(again.backlog, 2);
});

test('what is asked for again goes after fresh events, in its place among the backlog', async () => {
  const outbox = await open();
  const [first] = await filled(outbox, 2);
  await outbox.acknowledge(first);
  outbox.startRun();
  await outbox.put(made);
  outbox.sendAgain({ log: outbox.log, from: 1, to: 2 });
  assert.deepEqual(seqs(outbox.take(9, ALL)), [3, 1, 2]);
});

test('what was acknowledged is forgotten after resendH hours of the server, and if there is too much of it', async () => {
  const outbox = await open();
  const entries = await filled(outbox, 8);
  const kept = () => { outbox.startRun(); outbox.sendAgain({ log: outbox.log, from: 1, to: 99 }); return seqs(outbox.take(99, ALL)); };
  await outbox.acknowledge(entries[0]);
  await outbox.answer(entries[0].id, { epoch: 0, n: 1, payload: made().payload }, HOUR_MS);
  await outbox.acknowledge(entries[1]);
  await outbox.answer(entries[1].id, { epoch: 0, n: 1, payload: made().payload }, 50 * HOUR_MS);
  await outbox.acknowledge(entries[2]);
  assert.deepEqual(kept(), [3, 4, 5, 6, 7, 8]);
  for (const entry of entries.slice(3)) await outbox.acknowledge(entry);
  assert.deepEqual(kept(), [5, 6, 7, 8]);
});

test('an outbox whose numbers were used before begins a new log once nothing waits, and still has the old one', async () => {
  const store = new MemoryStore();
  const outbox = await open(store);
  const [first, second] = await filled(outbox, 2);
  await outbox.acknowledge(first);
  outbox.endLog(systemRandom(8));
  outbox.endLog(first.log);
  const third = await outbox.put(made);
  assert.equal(third.seq, 3);
  await outbox.acknowledge(second);
  await outbox.acknowledge(third);
  const fresh = await outbox.put(made);
  assert.equal(fresh.seq, 1);
  assert.notEqual(hex(fresh.log), hex(first.log));
  assert.equal((await outbox.put(made)).seq, 2);
  const again = await open(store);
  assert.deepEqual(again.olderLogs, [{ log: first.log, seq: 3 }]);
  again.sendAgain({ log: first.log, from: 1, to: 1 });
  assert.deepEqual(again.take(9, ALL).map((entry) => [hex(entry.log), entry.seq]), [[hex(first.log), 1], [hex(fresh.log), 1], [hex(fresh.log), 2]]);
});

test('the highest (epoch, n) of a receipt holds, and the oldest receipts are forgotten', async () => {
  const store = new MemoryStore();
  const outbox = await open(store);
  const id = systemRandom(16);
  const told = [];
  for (const [epoch, n] of [[0, 1], [0, 3], [0, 2], [0, 3], [1, 1], [0, 9]]) told.push(await outbox.answer(id, { epoch, n, payload: Uint8Array.of(n) }, 1));
  assert.deepEqual(told, [true, true, false, false, true, false]);
  assert.deepEqual((await open(store)).receipt(id), { epoch: 1, n: 1, payload: Uint8Array.of(1) });
  for (let n = 0; n < 3; n += 1) await outbox.answer(systemRandom(16), { epoch: 0, n: 1, payload: Uint8Array.of(n) }, 1);
  assert.equal(outbox.receipt(id), undefined);
  assert.equal((await open(store)).receipt(id), undefined);
});

test('an event that cannot be written takes no number; what the server has is not sent again, and is written later', async () => {
  const store = new MemoryStore();
  const outbox = await open(store);
  const [first] = await filled(outbox, 1);
  store.broken = true;
  await assert.rejects(outbox.put(made), /no space/);
  await assert.rejects(outbox.acknowledge(first), /no space/);
  await assert.rejects(outbox.answer(first.id, { epoch: 0, n: 1, payload: Uint8Array.of(1) }, 1), /no space/);
  assert.equal(outbox.receipt(first.id)?.n, 1, 'the worker is told all the same');
  await assert.rejects(outbox.answer(first.id, { epoch: 0, n: 1, payload: Uint8Array.of(1) }, 1), /no space/, 'as often as it comes');
  outbox.startRun();
  assert.deepEqual(outbox.take(9, ALL), []);
  store.broken = false;
  assert.equal((await outbox.put(made)).seq, 2);
  const again = await open(store);
  assert.deepEqual([again.backlog, again.receipt(first.id)?.n], [1, 1]);
});

test('a full outbox takes no more, and many scans at once get one number each', async () => {
  const outbox = await open(new MemoryStore(), { ...LIMITS, eventsMax: 3 });
  const done = await Promise.allSettled([1, 2, 3, 4].map(() => outbox.put(made)));
  assert.deepEqual(done.map((one) => (one.status === 'fulfilled' ? one.value.seq : one.reason.constructor)), [1, 2, 3, OutboxFull]);
});
