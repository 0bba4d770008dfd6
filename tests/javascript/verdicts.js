/** Says of each line (an event type, and a payload in hex) whether the client would take it: what is wrong with it, or nothing, as JSON. */
import { createInterface } from 'node:readline';
import { faultOfEvent } from '../../devices/examples/javascript/checks.js';
import { decode, fromHex } from '../../devices/examples/javascript/encoding.js';

createInterface({ input: process.stdin }).on('line', (line) => {
  const [type, payload] = line.split(' ');
  process.stdout.write(`${JSON.stringify(faultOfEvent(type, decode(fromHex(payload))))}\n`);
});
