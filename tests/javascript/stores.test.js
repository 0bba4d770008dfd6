/** The adapters of the store: one contract for all of them, and what only a file can suffer. */
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { browserStore } from '../../devices/examples/javascript/browser.js';
import { systemRandom } from '../../devices/examples/javascript/clock.js';
import { OutboxError, OutboxLocked } from '../../devices/examples/javascript/errors.js';
import { fileStore } from '../../devices/examples/javascript/node.js';
import { Outbox } from '../../devices/examples/javascript/outbox.js';
import { MemoryStore } from './doubles.js';

const LIMITS = { eventsMax: 100_000, receiptsMax: 100, keptMax: 100_000, resendH: 48 };
const folder = mkdtempSync(join(tmpdir(), 'stores-'));
after(() => rmSync(folder, { recursive: true }));

let names = 0;
const path = () => join(folder, `outbox-${(names += 1)}`);
const lines = (file) => readFileSync(file, 'latin1').split('\n');
/** Web Locks, as far as the store uses them. */
const held = new Set();
const locks = {
  async request(name, _options, hold) {
    if (held.has(name)) return hold(null);
    held.add(name);
    await hold({ name });
    held.delete(name);
  },
};

const KINDS = {
  memory: () => { const store = new MemoryStore(); return () => store; },
  file: () => { const at = path(); return () => fileStore(at); },
  IndexedDB: () => { const name = path(); return () => browserStore(name, indexedDB, { locks }); },
};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: what was written is there, as it was, and what was forgotten is not`, async () => {
    const reopen = make();
    const store = reopen();
    assert.deepEqual(await store.open(), new Map());
    const value = { place: 1, payload: Uint8Array.of(0, 255, 10), nested: [{ at_ms: 1_796_046_081_417 }, 'é\n'] };
    await Promise.all([store.write([['a', value], ['b', 2]]), store.write([['b', undefined], ['c', 'x']]), store.write([['c', 'y']])]);
    await store.close();
    const again = reopen();
    assert.deepEqual(await again.open(), new Map([['a', value], ['c', 'y']]));
    await again.close();
  });

  if (kind !== 'memory') {
    test(`${kind}: a second one is kept out until the first is closed`, async () => {
      const reopen = make();
      const first = reopen();
      await first.open();
      await assert.rejects(reopen().open(), OutboxLocked);
      await first.close();
      const second = reopen();
      await second.open();
      await second.close();
    });
  }
}

test('a line that was half written is cut off, and the next one stands alone', async () => {
  for (const torn of ['0badc0de gWFh', '0badc0de gWFh\n', '\0\0\0\0', 'x']) {
    const file = path();
    const store = fileStore(file);
    await store.open();
    await store.write([['a', 1]]);
    await store.close();
    appendFileSync(file, torn);
    const again = fileStore(file);
    assert.deepEqual([...await again.open()], [['a', 1]]);
    await again.write([['b', 2]]);
    await again.close();
    const last = fileStore(file);
    assert.deepEqual([...await last.open()], [['a', 1], ['b', 2]]);
    await last.close();
  }
});

test('a file that is damaged in its middle is not used, and stays as it is', async () => {
  const file = path();
  const store = fileStore(file);
  await store.open();
  for (const key of ['a', 'b', 'c']) await store.write([[key, 1]]);
  await store.close();
  const before = readFileSync(file, 'latin1').replace(/^(.{12})./, '$1!');
  writeFileSync(file, before, 'latin1');
  await assert.rejects(fileStore(file).open(), (error) => error instanceof OutboxError && /line 1 is damaged/.test(error.message));
  assert.equal(readFileSync(file, 'latin1'), before);
});

test('a file of which most says nothing new is written anew, with everything in it', async () => {
  const file = path();
  const store = fileStore(file, 5);
  await store.open();
  await store.write([['first', Uint8Array.of(1)]]);
  const { ino } = statSync(file);
  let written = 0;
  for (; statSync(file).ino === ino && written < 20; written += 1) await store.write([['counter', written]]);
  assert.ok(lines(file).length < 10, `${lines(file).length} lines`);
  await store.write([['last', true]]);
  await store.close();
  const again = fileStore(file);
  assert.deepEqual([...await again.open()], [['first', Uint8Array.of(1)], ['counter', written - 1], ['last', true]]);
  await again.close();
  assert.ok(!existsSync(`${file}.new`));
});

test('a file that was moved away or deleted is noticed by the next write', async () => {
  for (const lose of [(file) => rmSync(file), (file) => { renameSync(file, `${file}.old`); writeFileSync(file, ''); }]) {
    const file = path();
    const store = fileStore(file);
    await store.open();
    lose(file);
    await assert.rejects(store.write([['a', 1]]), OutboxError);
    await store.close();
  }
});

test('a folder that is not there is an outbox that cannot be used', async () => {
  await assert.rejects(fileStore(join(folder, 'nowhere', 'outbox')).open(), OutboxError);
});

/** Runs a program that stores events and says of each that it is stored, and holds what it said against what is in its file then. */
async function checkWhatItStored(file, child, enough = () => {}) {
  let said = '';
  for await (const chunk of child.stdout) enough((said += chunk).split('\n').length - 1);
  const told = said.split('\n').slice(0, -1).map(Number);
  const outbox = await Outbox.open(fileStore(file), 'ams1/scan-1', LIMITS, systemRandom);
  const there = outbox.take(Infinity, () => true).map((entry) => entry.seq);
  await outbox.close();
  assert.ok(told.length > 0);
  assert.deepEqual(there, Array.from({ length: outbox.last.seq }, (_, at) => at + 1));
  assert.ok(told.every((seq) => seq <= outbox.last.seq), `${told.at(-1)} was reported as stored`);
}

const SCANS = [process.execPath, join(import.meta.dirname, 'scans_until_killed.js')];
const QUIET = { stdio: ['ignore', 'pipe', 'ignore'] };

test('what was stored when a program was killed is in its file, and every number once', async () => {
  const file = path();
  for (const round of [1, 2]) {
    const child = spawn(SCANS[0], [SCANS[1], file], QUIET);
    await checkWhatItStored(file, child, (count) => { if (count > 3 * round) child.kill('SIGKILL'); });
  }
});

test('a line for which the disk has no room is not reported as stored, and leaves nothing behind', async () => {
  const file = path();
  // A limit on the size of files stands for a full disk: the write that crosses it is cut short.
  await checkWhatItStored(file, spawn('sh', ['-c', `trap '' XFSZ; ulimit -f 12; exec "$0" "$@"`, ...SCANS, file], QUIET));
});
