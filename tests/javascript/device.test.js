/** A device against a server that a test plays: what it says first, what it keeps, what it refuses, and how it comes back. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Courier } from '../../devices/examples/javascript/courier.js';
import { Device, InvalidEvent, NotDelivered, OutboxFull, RefusedByServer } from '../../devices/examples/javascript/device.js';
import { hex, toJson } from '../../devices/examples/javascript/encoding.js';
import { FakeServer, MemoryStore, RECEIPTS, SITE, STATE, until } from './doubles.js';

const LIMITS = { packet_bytes_max: 2_000, payload_bytes_max: 400, publish_rate_max: 10, window: 10 };

const IMPATIENT = { backoffFirstMs: 1, backoffMaxMs: 2, closeTimeoutMs: 20 };

/** Opens a device that comes back at once, connected if the server takes it, and closes it at the end of the test. */
async function opened(t, { server = new FakeServer(), kind = Device, ...options } = {}) {
  const device = await kind.open({ site: SITE, device: 'scan-1', password: 'x', store: new MemoryStore(), connect: server.connect, ...IMPATIENT, ...options });
  t.after(() => device.close());
  if (!server.refusing && !server.denied.length) await connected(device);
  return { device, server };
}

const connected = (device) => device.wait(() => device.connection.connected || undefined, 5_000);

test('receipts are subscribed to first, then presence, then events; the session is persistent, and there is a will', async (t) => {
  const { device, server } = await opened(t);
  const scan = await device.scan('pack', { order: 'PO-1', body: { weight_g: 1250 } });
  await device.drain(5_000);
  assert.deepEqual(server.steps, ['connect', `subscribe ${RECEIPTS} ${STATE}`, 'publish presence', 'publish events/pack']);
  const [{ options }] = server.clients;
  assert.deepEqual([options.clean, options.clientId, options.username, options.protocolVersion], [false, 'scan-1', 'scan-1', 4]);
  assert.deepEqual([options.will.topic, options.will.qos, options.will.retain], [`v1/${SITE}/devices/scan-1/presence`, 1, true]);
  assert.deepEqual([options.reconnectPeriod, options.resubscribe, options.manualConnect], [0, false, true]);
  const [presence, event] = server.published;
  assert.deepEqual([presence.qos, presence.retain, presence.payload.online, hex(presence.payload.log)], [1, true, true, hex(device.last.log)]);
  assert.deepEqual([event.qos, event.retain, event.payload.order, event.payload.body, event.payload.seq], [1, false, 'PO-1', { weight_g: 1250 }, 1]);
  assert.ok(scan.isAcknowledged());
});

test('a receipt is stored before it is acknowledged; the highest n holds, and survives a restart', async (t) => {
  const store = new MemoryStore();
  const { device, server } = await opened(t, { store });
  const scan = await device.scan('pack', { order: 'PO-1' });
  await device.drain(5_000);
  store.broken = true;
  assert.equal(await server.receipt(server.events[0], { outcome: 'parked', final: false, tone: 'warn' }), false);
  store.broken = false;
  assert.equal(await server.receipt(server.events[0], { outcome: 'parked', final: false, tone: 'warn' }), true);
  assert.equal((await scan.receipt(5_000)).outcome, 'parked');
  await server.receipt(server.events[0], { n: 2 });
  await server.receipt(server.events[0], { outcome: 'parked', again: true });
  await device.close();
  const again = await Device.open({ site: SITE, device: 'scan-1', store, connect: new FakeServer().connect, ...IMPATIENT });
  t.after(() => again.close());
  assert.deepEqual([again.receipt(scan.id).n, again.receipt(scan.id).outcome], [2, 'applied']);
});

test('receipts may be JSON, and may have words that nobody knows yet', async (t) => {
  const { device, server } = await opened(t);
  const scan = await device.scan('pack', { order: 'PO-1' });
  await device.drain(5_000);
  const receipt = { n: 1, final: true, outcome: 'postponed', tone: 'ok', at_ms: 1, id: scan.id, log: scan.log, seq: 1 };
  assert.ok(await server.tell(RECEIPTS, new TextEncoder().encode(toJson(receipt))));
  assert.equal((await scan.receipt(5_000)).outcome, 'postponed');
});

test('a refusal that names a payload by its digest finds its scan, and never holds against an answer to the event itself', async (t) => {
  const told = [];
  const { device, server } = await opened(t, { onReceipt: (receipt) => told.push(receipt.reason) });
  const scan = await device.scan('pack', { order: 'PO-1' });
  await device.drain(5_000);
  const digest = new Uint8Array(createHash('sha256').update(server.published[1].bytes).digest().subarray(0, 8));
  const refused = { n: 1, final: true, outcome: 'rejected', tone: 'stop', at_ms: 1, reason: 'id_reused', digest };
  assert.ok(await server.tell(RECEIPTS, refused));
  assert.ok(await server.tell(RECEIPTS, { ...refused, digest: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }), 'of a payload that was spoilt on its way');
  assert.equal((await scan.receipt(5_000)).reason, 'id_reused');
  await server.receipt(server.events[0]);
  await server.tell(RECEIPTS, refused);
  assert.equal((await scan.receipt(5_000)).outcome, 'applied');
  assert.deepEqual(told, ['id_reused', undefined]);
});

test('what was in flight when a connection ended goes again, with the same id and number; nothing goes twice on one', async (t) => {
  const { device, server } = await opened(t, { inFlightMax: 2 });
  server.acknowledging = false;
  for (const order of ['PO-1', 'PO-2', 'PO-3']) await device.scan('pack', { order });
  await until(() => server.held.length === 2);
  assert.deepEqual(server.events.map((event) => event.seq), [1, 2]);
  const [first] = server.events;
  server.acknowledging = true;
  server.cut();
  await device.drain(5_000);
  assert.deepEqual(server.events.map((event) => event.seq), [1, 2, 1, 2, 3]);
  assert.deepEqual(server.events[2].id, first.id);
  assert.equal(server.published.filter(({ topic }) => topic.endsWith('/presence'))[1].payload.backlog, 3);
});

test('a server that does not acknowledge loses the connection', async (t) => {
  const { device, server } = await opened(t, { ackTimeoutMs: 20 });
  server.acknowledging = false;
  await device.scan('pack', { order: 'PO-1' });
  await until(() => server.clients.length === 3);
  assert.match(device.connection.lost, /no acknowledgement/);
  assert.equal(device.backlog, 1);
});

test('a server that was restored gets what it asks for: the same events, sent anew', async (t) => {
  const store = new MemoryStore();
  const { device, server } = await opened(t, { store });
  for (const order of ['PO-1', 'PO-2', 'PO-3']) await device.scan('pack', { order });
  await device.drain(5_000);
  await device.close();
  const { device: later, server: restored } = await opened(t, { store });
  assert.ok(await restored.tell(RECEIPTS, { resend: { log: device.last.log, from: 2, to: 9 }, epoch: 1 }));
  await until(() => restored.events.length === 2);
  const unsent = ({ sent_boot, sent_mono_ms, ...event }) => event;
  assert.deepEqual(restored.events.map(unsent), server.events.slice(1).map(unsent));
  assert.notDeepEqual(restored.events[0].sent_boot, server.events[1].sent_boot);
  await restored.receipt(restored.events[0], { n: 5 });
  await restored.receipt(restored.events[0], { n: 1, epoch: 1 });
  assert.deepEqual([later.receipt(restored.events[0].id).n, later.receipt(restored.events[0].id).epoch], [1, 1]);
});

test('numbers that were used before: a new log, and a presence for the old one first', async (t) => {
  const { device, server } = await opened(t);
  await device.scan('pack', { order: 'PO-1' });
  await device.drain(5_000);
  const { log } = device.last;
  await server.receipt(server.events[0], { warn: ['seq_reused'] });
  await device.scan('pack', { order: 'PO-2' });
  await device.drain(5_000);
  server.cut();
  await until(() => server.clients.length === 2 && device.connection.connected);
  const presences = server.published.filter(({ topic }) => topic.endsWith('/presence')).slice(1).map(({ payload }) => payload);
  assert.deepEqual(presences.map((one) => [hex(one.log), one.last_seq, one.backlog]), [[hex(log), 1, 0], [hex(device.last.log), 1, 0]]);
});

test('what the server could never take is refused before it is stored, by the limit that the server has told', async (t) => {
  const store = new MemoryStore();
  const { device, server } = await opened(t, { store });
  const large = { code: 'x'.repeat(300), by: 'y'.repeat(60) };
  await device.scan('pack', { order: 'PO-1', ...large });
  await server.tell(STATE, { online: true, version: '1', started_ms: 1, contract: '2', limits: LIMITS });
  await assert.rejects(device.scan('pack', { order: 'PO-2', ...large }), (error) => error instanceof InvalidEvent && /split it/.test(error.message));
  await assert.rejects(device.scan('pack', { order: 'PO-2', body: { weight_g: -1 } }), /body\.weight_g: expected integer/);
  await assert.rejects(device.scan('teleported'), InvalidEvent);
  await assert.rejects(device.scan('pack', { order: 'half \ud800' }), /order/);
  await assert.rejects(device.scan('pack', { body: { made: new Date() } }), /body\.made/);
  await assert.rejects(device.scan('pack', { body: { weight_g: 1n } }), InvalidEvent);
  assert.equal(device.last.seq, 1);
  await device.close();
  const { device: again } = await opened(t, { store });
  await assert.rejects(again.scan('pack', { order: 'PO-2', ...large }), InvalidEvent, 'also without a network');
});

test('an event that became too large stays in the outbox, and holds nothing up', async (t) => {
  const store = new MemoryStore();
  const { device, server } = await opened(t, { store });
  server.acknowledging = false;
  await device.scan('pack', { order: 'PO-1', code: 'x'.repeat(300) });
  await until(() => server.held.length === 1);
  await server.tell(STATE, { online: true, version: '1', started_ms: 1, contract: '2', limits: LIMITS });
  server.acknowledging = true;
  await device.scan('pack', { order: 'PO-2' });
  server.cut();
  await until(() => device.backlog === 1 && server.clients.length === 2);
  await device.close();
  const { device: later, server: wider } = await opened(t, { store });
  await wider.tell(STATE, { online: true, version: '1', started_ms: 1, contract: '2', limits: { ...LIMITS, payload_bytes_max: 9_000 } });
  wider.cut();
  await later.drain(5_000);
});

test('a bouncing trigger makes one event; a scan made again later, or after another, makes two', async (t) => {
  let nowMs = 1_000;
  const clock = { boot: new Uint8Array(8), monoMs: () => nowMs, wallMs: () => 0, tzMin: () => undefined };
  const { device } = await opened(t, { clock });
  const seqs = [];
  for (const [order, afterMs] of [['PO-1', 0], ['PO-1', 299], ['PO-1', 1], ['PO-2', 0], ['PO-1', 0]]) {
    nowMs += afterMs;
    seqs.push((await device.scan('pack', { order })).seq);
  }
  assert.deepEqual(seqs, [1, 1, 2, 3, 4]);
});

test('a refused device says so, keeps what is scanned, and asks again slowly; a server that is not available is asked as usual', async (t) => {
  const server = new FakeServer();
  server.refusing = 5;
  const { device } = await opened(t, { server, refusedRetryMs: 40 });
  const scan = await device.scan('pack', { order: 'PO-1' });
  await assert.rejects(scan.receipt(5), RefusedByServer);
  assert.equal(server.clients.length, 1);
  server.refusing = 3;
  await until(() => server.clients.length > 1);
  server.refusing = 0;
  await device.drain(5_000);
  assert.equal(device.connection.refused, undefined);
  await assert.rejects(scan.receipt(1), NotDelivered);
});

test('without its receipts a device does not go on; without the state of the bridge it does', async (t) => {
  const server = new FakeServer();
  server.denied = [RECEIPTS];
  const { device } = await opened(t, { server, refusedRetryMs: 10 });
  await until(() => device.connection.refused !== undefined);
  assert.deepEqual(server.published, []);
  server.denied = [STATE];
  await connected(device);
  assert.deepEqual(device.connection.denied, [STATE]);
});

test('a device that is closed says goodbye, after what is in flight', async (t) => {
  const { device, server } = await opened(t);
  server.acknowledging = false;
  await device.scan('pack', { order: 'PO-1' });
  await until(() => server.held.length === 1);
  const closed = device.close();
  await until(() => server.steps.at(-1) === 'publish presence');
  assert.ok(!server.steps.includes('end'));
  server.held[0]();
  await closed;
  assert.equal(server.published.at(-1).payload.online, false);
  await assert.rejects(device.scan('pack'), /was closed/);
});

test('backoff grows with full jitter, and ends at once if there is a network again', async (t) => {
  const server = new FakeServer();
  server.refusing = 3;
  const { device } = await opened(t, { server, backoffFirstMs: 100_000, backoffMaxMs: 100_000, random: (n) => new Uint8Array(n).fill(0xff) });
  await until(() => device.connection.lost !== undefined);
  server.refusing = 0;
  device.connection.retryNow();
  await connected(device);
});

test('an outbox that is full takes no more', async (t) => {
  const server = new FakeServer();
  server.acknowledging = false;
  const { device } = await opened(t, { server, eventsMax: 1 });
  await device.scan('pack', { order: 'PO-1' });
  await assert.rejects(device.scan('pack', { order: 'PO-2' }), OutboxFull);
});

test('jobs come in, are kept for a restart, are claimed as they were heard, and the highest (epoch, rev) holds', async (t) => {
  const store = new MemoryStore();
  const { device: phone, server } = await opened(t, { kind: Courier, courier: 'anna', store });
  const topic = `v1/${SITE}/couriers/anna/assignments/job-1`;
  const job = { job: 'job-1', rev: 3, state: 'assigned', stops: [{ stop: 'S-1', orders: ['PO-1'], parcels: [], codes: ['WB-1'], handling: [] }] };
  assert.match(server.steps[1], /couriers\/anna\/assignments\/\+$/);
  await server.tell(topic, job);
  await server.tell(topic, { ...job, rev: 2, state: 'accepted' });
  assert.deepEqual((await phone.waitJob(5_000)).rev, 3);
  await phone.claim('job-1');
  await phone.drain(5_000);
  assert.deepEqual(server.events[0].body, { job: 'job-1', rev: 3 });
  await phone.close();
  const offline = new FakeServer();
  offline.refusing = 3;
  const { device: later } = await opened(t, { kind: Courier, courier: 'anna', store, server: offline });
  assert.deepEqual(later.jobs.get('job-1')?.stops[0]?.codes, ['WB-1']);
  offline.refusing = 0;
  await connected(later);
  assert.equal(later.jobs.size, 0, 'the server forgot the session: open jobs come again');
  await offline.tell(topic, { ...job, rev: 1, epoch: 1 });
  await offline.tell(topic, new Uint8Array());
  await assert.rejects(later.claim('job-1'), InvalidEvent);
});

test('of a server that was restored, only the jobs count that it tells anew', async (t) => {
  const { device: phone, server } = await opened(t, { kind: Courier, courier: 'anna' });
  const topic = (job) => `v1/${SITE}/couriers/anna/assignments/${job}`;
  const told = (job, more) => server.tell(topic(job), { job, rev: 3, state: 'assigned', stops: [], ...more });
  await told('job-1');
  await told('job-2');
  await told('job-2', { rev: 1, epoch: 1 });
  await server.tell(STATE, { online: true, version: '1', started_ms: 1, contract: '2', epoch: 1 });
  assert.deepEqual([...phone.jobs.values()].map((job) => [job.job, job.rev]), [['job-2', 1]]);
});

test('what cannot be read is acknowledged, and so is what a listener fails over', async (t) => {
  const warnings = [];
  const { device, server } = await opened(t, { warn: (text) => warnings.push(text), onReceipt: () => { throw new Error('ours'); } });
  const scan = await device.scan('pack', { order: 'PO-1' });
  await device.drain(5_000);
  for (const payload of [Uint8Array.of(0xa1, 0x61), new Uint8Array(), Uint8Array.of(5)]) assert.ok(await server.tell(RECEIPTS, payload));
  assert.ok(await server.tell(STATE, new Uint8Array()));
  assert.ok(await server.receipt(server.events[0]));
  assert.equal(device.receipt(scan.id).n, 1);
  assert.deepEqual(warnings.map((text) => text.split(':')[1].trim()), [`what came on ${RECEIPTS} cannot be read`, 'a listener failed']);
});

test('locations are live at QoS 0, and at QoS 1 what was made without a connection', async (t) => {
  const server = new FakeServer();
  server.refusing = 3;
  const { device: phone } = await opened(t, { kind: Courier, courier: 'anna', server });
  phone.location({ lat: 52.37, lon: 4.9, accuracyM: 4.2, speedMS: 1.5 });
  assert.throws(() => phone.location({ lat: 99, lon: 0, accuracyM: 1 }), InvalidEvent);
  assert.throws(() => phone.location({ lat: NaN, lon: 0, accuracyM: 1 }), InvalidEvent);
  phone.location({ lat: 0, lon: -0, accuracyM: 0 }); // no fix
  server.refusing = 0;
  const sent = () => server.published.filter(({ topic }) => topic.endsWith('/location'));
  await until(() => sent().length === 1);
  phone.location({ lat: 52.38, lon: 4.9, accuracyM: 4 });
  await until(() => sent().length === 2);
  assert.deepEqual(sent().map(({ qos, payload }) => [qos, payload.points.map((point) => point.slice(1))]), [
    [1, [[523_700_000, 49_000_000, 5, 15]]],
    [0, [[523_800_000, 49_000_000, 4, null]]],
  ]);
});
