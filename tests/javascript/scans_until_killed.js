/** Stores events, and says of each that it is stored, until it is killed or cannot. */
import { writeSync } from 'node:fs';
import { systemRandom } from '../../devices/examples/javascript/clock.js';
import { fileStore } from '../../devices/examples/javascript/node.js';
import { Outbox } from '../../devices/examples/javascript/outbox.js';

const limits = { eventsMax: 100_000, receiptsMax: 100, keptMax: 100, resendH: 48 };
const outbox = await Outbox.open(fileStore(process.argv[2]), 'ams1/scan-1', limits, systemRandom);
for (;;) {
  const stored = await Promise.all([1, 2, 3].map((bytes) => outbox.put(() => ({ id: systemRandom(16), type: 'pack', payload: systemRandom(bytes * 100) }))));
  for (const { seq } of stored) writeSync(1, `${seq}\n`);
}
