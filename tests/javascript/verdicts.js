/** Says of each line (an event type, and a payload in hex) whether the client would take it: what is wrong with it, or nothing. */
import { createInterface } from 'node:readline';
import { faultOfEvent } from '../../devices/examples/javascript/checks.js';
import { decode, fromHex } from '../../devices/examples/javascript/encoding.js';

createInterface({ input: process.stdin }).on('line', (line) => {
  const [type, payload] = line.split(' ');
  process.stdout.write(`${faultOfEvent(type, decode(fromHex(payload))).replaceAll('\n', ' ')}\n`);
});
