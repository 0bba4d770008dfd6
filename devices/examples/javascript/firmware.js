/**
 * This client as the firmware of simulated scanners and phones: `firmware-sim run SCENARIO --client 'node firmware.js'`. One JSON object a line, commands on
 * stdin, answers and news on stdout; the README of firmware-sim has the protocol.
 */
import { createInterface } from 'node:readline';
import mqtt from 'mqtt';
import { Courier } from './courier.js';
import { Device } from './device.js';
import { fromJson, toJson } from './encoding.js';
import { fileStore } from './node.js';

/** @type {Device | Courier} */ let device;
let wallOffMs = 0;
/** @type {string[]} */ const told = [];

const write = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
const state = () => ({ ...device.last, backlog: device.backlog });

/** What has changed since it was said last. */
function tellNews() {
  const news = [{ backlog: device.backlog }, ...(device instanceof Courier ? [{ jobs: [...device.jobs.values()] }] : [])].map(toJson);
  for (const [at, line] of news.entries()) if (line !== told[at]) write((told[at] = line));
}

/** @type {Record<string, (command: any) => any>} */
const commands = {
  async start({ outbox, host, port, boot, booted_ms, wall_off_ms, debounce_ms, events_max, backoff_max_ms, ack_timeout_ms, ...who }) {
    wallOffMs = wall_off_ms;
    const options = {
      ...who, firmware: 'javascript', store: fileStore(outbox),
      connect: (/** @type {mqtt.IClientOptions} */ how) => mqtt.connect({ ...how, protocol: 'mqtt', host, port }),
      clock: { boot, monoMs: () => Date.now() - booted_ms, wallMs: () => Math.max(0, Date.now() + wallOffMs), tzMin: () => undefined },
      debounceMs: debounce_ms, eventsMax: events_max, backoffMaxMs: backoff_max_ms, ackTimeoutMs: ack_timeout_ms,
      onReceipt: (/** @type {object} */ receipt) => write(toJson({ receipt })),
      onChange: () => device && tellNews(),
    };
    device = who.courier === undefined ? await Device.open(options) : await Courier.open(options);
    tellNews();
    return state();
  },
  async scan({ type, order, parcel, code, at, by, body }) {
    const { id, log, seq } = await device.scan(type, { order, parcel, code, at, by, body });
    return { ...state(), id, log, seq };
  },
  receipt: ({ id }) => ({ receipt: device.receipt(id) ?? null }),
  clock: ({ wall_off_ms }) => { wallOffMs = wall_off_ms; },
  network: ({ up }) => { if (up) device.connection.retryNow(); },
  locations: ({ points }) => { if (device instanceof Courier) device.locations(points); },
  stop: () => device.close(),
};

const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const { do: what, n, ...command } = fromJson(line);
  try {
    write(toJson({ n, ...(await commands[what]?.(command)) }));
  } catch (error) {
    write(toJson({ n, error: /** @type {Error} */ (error).message }));
  }
  if (what === 'stop') process.exit();
});
lines.on('close', () => process.exit()); // whoever gave the commands is gone
