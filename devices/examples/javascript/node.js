/** What a device needs of Node.js: an outbox in a file, clocks that count while the machine sleeps, and the means to redeem a claim. */
import { createHash } from 'node:crypto';
import { constants, readFileSync } from 'node:fs';
import { open, realpath, rename, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { uptime } from 'node:os';
import { dirname } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { pageClock, systemRandom } from './clock.js';
import { decode, encode } from './encoding.js';
import { OutboxError, OutboxLocked, WrongServer } from './errors.js';

/** The file is written anew when it has twice as many lines as this, or as there are records if those are more. */
const LINES_WORTH = 1_000;
const CHANGES_PER_LINE_MAX = 100;
const AUTHORITY_TIMEOUT_MS = 10_000;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/**
 * @typedef {import('./outbox.js').Change} Change
 * @typedef {import('node:fs/promises').FileHandle} FileHandle
 */

/** The clocks of the machine. If it does not tell its boot, this start of the program is one. @returns {import('./clock.js').Clock} */
export function systemClock(random = systemRandom) {
  try {
    const boot = createHash('sha256').update(readFileSync(BOOT_ID_FILE)).digest().subarray(0, 8);
    return { ...pageClock(random), boot: new Uint8Array(boot), monoMs: () => Math.floor(uptime() * 1000) }; // counts while Linux sleeps
  } catch {
    return pageClock(random);
  }
}

/**
 * A file that only grows: each write appends one line and syncs it, and a line that a crash left half written is cut off when the file is opened. When most
 * lines say nothing new any more, the file is written anew beside the old one, and takes its name.
 *
 * @param {string} path @returns {import('./outbox.js').Store}
 */
export function fileStore(path, linesWorth = LINES_WORTH) {
  return new FileStore(path, linesWorth);
}

class FileStore {
  /** @type {string} */ #path;
  /** @type {number} */ #linesWorth;
  /** @type {FileHandle | undefined} */ #file;
  /** @type {import('node:net').Server | undefined} */ #lock;
  /** @type {Map<string, any>} */ #records = new Map();
  /** @type {{changes: Change[], done: () => void, failed: (error: unknown) => void}[]} */ #queue = [];
  /** @type {Promise<void> | undefined} */ #writing;
  #length = 0;
  #lines = 0;
  /** @type {unknown} Set once it is not known what is in the file. */ #broken;

  /** @param {string} path @param {number} linesWorth */
  constructor(path, linesWorth) {
    [this.#path, this.#linesWorth] = [path, linesWorth];
  }

  async open() {
    try {
      this.#file = await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
      this.#lock = await locked(await realpath(this.#path));
      await this.#read(this.#file);
    } catch (error) {
      await this.close();
      throw this.#told(error);
    }
    return new Map(this.#records);
  }

  /** @param {Change[]} changes @returns {Promise<void>} */
  write(changes) {
    return new Promise((done, failed) => {
      this.#queue.push({ changes, done, failed });
      this.#writing ??= this.#writeQueue();
    });
  }

  async close() {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
    this.#lock?.close();
  }

  /** Writes what waits, all of it in one line with one sync, until nothing waits. */
  async #writeQueue() {
    while (this.#queue.length) {
      const group = this.#queue.splice(0);
      try {
        const changes = group.flatMap((wish) => wish.changes);
        await this.#append(lineOf(changes));
        this.#apply(changes);
        for (const wish of group) wish.done();
      } catch (error) {
        for (const wish of group) wish.failed(this.#told(error));
      }
      if (this.#lines > 2 * Math.max(this.#linesWorth, this.#records.size)) await this.#writeAnew();
    }
    this.#writing = undefined; // in the same turn in which nothing waited
  }

  /** @param {Buffer} bytes */
  async #append(bytes) {
    const file = this.#file;
    if (this.#broken || file === undefined) throw this.#broken ?? new Error('closed');
    const [named, mine] = await Promise.all([stat(this.#path), file.stat()]);
    if (named.ino !== mine.ino) throw new Error('the file was moved or replaced');
    try {
      await writeAll(file, bytes, this.#length);
      await file.datasync();
    } catch (error) {
      await file.truncate(this.#length).then(() => file.sync()).catch((worse) => { this.#broken = worse; });
      throw error;
    }
    this.#length += bytes.length;
    this.#lines += 1;
  }

  /** @param {FileHandle} file */
  async #read(file) {
    const bytes = await file.readFile();
    for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n', this.#length)) {
      const changes = changesOf(bytes.toString('latin1', this.#length, end));
      if (changes === undefined && end === bytes.length - 1) break;
      if (changes === undefined) throw new Error(`line ${this.#lines + 1} is damaged: keep a copy of the file, and ask for help`);
      this.#apply(changes);
      this.#length = end + 1;
      this.#lines += 1;
    }
    // What follows was never reported as written.
    await file.truncate(this.#length);
    await file.sync();
    await syncFolder(this.#path);
  }

  async #writeAnew() {
    const records = [...this.#records];
    const lines = [];
    for (let at = 0; at < records.length; at += CHANGES_PER_LINE_MAX) lines.push(lineOf(records.slice(at, at + CHANGES_PER_LINE_MAX)));
    const bytes = Buffer.concat(lines);
    let file;
    try {
      file = await open(`${this.#path}.new`, 'w', 0o600);
      await writeAll(file, bytes, 0);
      await file.sync();
      await rename(`${this.#path}.new`, this.#path);
    } catch {
      await file?.close();
      this.#lines = 0; // the old file is as good as before; the next try comes after as many lines again
      return;
    }
    await this.#file?.close();
    [this.#file, this.#length, this.#lines] = [file, bytes.length, lines.length];
    await syncFolder(this.#path).catch((error) => { this.#broken = error; });
  }

  /** @param {Change[]} changes */
  #apply(changes) {
    for (const [key, value] of changes) value === undefined ? this.#records.delete(key) : this.#records.set(key, value);
  }

  /** @param {any} error */
  #told(error) {
    return error instanceof OutboxError ? error : new OutboxError(`${this.#path}: ${error.message}`, { cause: error });
  }
}

/** @param {FileHandle} file @param {Buffer} bytes @param {number} at */
async function writeAll(file, bytes, at) {
  for (let written = 0; written < bytes.length;) written += (await file.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
}

/** A new name is durable once its folder is. @param {string} path */
async function syncFolder(path) {
  if (process.platform === 'win32') return;
  const folder = await open(dirname(path));
  await folder.sync().finally(() => folder.close());
}

/** Changes as a line of text: eight hex digits that prove that it is whole, and CBOR in base64. @param {Change[]} changes */
function lineOf(changes) {
  const text = Buffer.from(encode(changes.map(([key, value]) => [key, value ?? null]))).toString('base64');
  return Buffer.from(`${digest(text)} ${text}\n`);
}

/** @param {string} line @returns {Change[] | undefined} */
function changesOf(line) {
  const [proof, text = ''] = line.split(' ');
  return digest(text) === proof ? decode(Buffer.from(text, 'base64')).map((/** @type {Change} */ [key, value]) => [key, value ?? undefined]) : undefined;
}

const digest = (/** @type {string} */ text) => createHash('sha256').update(text).digest('hex').slice(0, 8);

/**
 * What `redeem` needs. The password goes into a file that only its owner may read. @param {typeof import('mqtt')} mqtt @param {string} path
 * @returns {import('./redeem.js').Means}
 */
export function claimMeans(mqtt, path) {
  return {
    authority,
    connect: ({ host, port }, how, tls, ca) => mqtt.connect(`${tls ? 'mqtts' : 'mqtt'}://${host}:${port}`, ca === undefined ? how : { ...how, ca }),
    async save(redeemed) {
      const file = await open(`${path}.part`, 'w', 0o600);
      await file.writeFile(JSON.stringify(redeemed)).then(() => file.sync()).finally(() => file.close());
      await rename(`${path}.part`, path);
      await syncFolder(path);
    },
  };
}

/** Nothing is said to the server on this connection: it only shows its certificates. @type {import('./redeem.js').Means['authority']} */
function authority({ host, port }, { fingerprint }) {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host, port, servername: /[a-z]/i.test(host) ? host : '', rejectUnauthorized: false }, () => {
      const seen = new Set();
      for (let shown = socket.getPeerCertificate(true); shown?.raw && !seen.has(shown.fingerprint256); shown = shown.issuerCertificate) {
        seen.add(shown.fingerprint256);
        if (base32(createHash('sha256').update(shown.raw).digest()).startsWith(fingerprint)) {
          const lines = (shown.raw.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
          resolve(`-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`);
        }
      }
      socket.destroy();
      reject(new WrongServer(`${host}:${port}`));
    });
    socket.setTimeout(AUTHORITY_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
  });
}

/** RFC 4648 §6, without padding. @param {Uint8Array} bytes */
function base32(bytes) {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => BASE32[parseInt(five.padEnd(5, '0'), 2)]).join('');
}

/** Holds a name that the system frees when this process dies, however it dies. Only Linux and Windows have such names. @param {string} path */
async function locked(path) {
  if (process.platform !== 'linux' && process.platform !== 'win32') return undefined;
  const name = `dockbridge-outbox-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
  const lock = createServer().unref();
  await new Promise((resolve, reject) => {
    lock.once('error', () => reject(new OutboxLocked(path)));
    lock.listen(process.platform === 'linux' ? `\0${name}` : `\\\\.\\pipe\\${name}`, () => resolve(undefined));
  });
  return lock;
}
