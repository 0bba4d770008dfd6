/**
 * Redeem a claim: a device that has only the text of its QR code gets its password, once. What a claim looks like, and what it promises, stands in the guide
 * (`dockbridge contract show guide`).
 *
 * @typedef {{host: string, port: number}} Address
 * @typedef {{addresses: Address[], tls: boolean, site: string, device: string, token: string, fingerprint: string}} Claim
 * @typedef {{site: string, device: string, password: string, address: Address, tls: boolean, ca?: string}} Redeemed
 *
 * @typedef {object} Means  What it needs of its surroundings; `node.js` has them for Node.js.
 * @property {(address: Address, claim: Claim) => Promise<string | undefined>} authority  The certificate (PEM) whose SHA-256 is the claim's, among those that the
 *   server shows; rejects with `WrongServer` if there is none. Not asked if the claim names none.
 * @property {(address: Address, how: import('mqtt').IClientOptions, tls: boolean, ca?: string) => import('mqtt').MqttClient} connect  A client of MQTT.js that
 *   has not connected yet.
 * @property {(redeemed: Redeemed) => Promise<void>} save  Resolves when it is on the disk; then it is acknowledged.
 */
import { escape } from './checks.js';
import { decode } from './encoding.js';
import { ClaimRefused, InvalidClaim, ServerNotReached, WrongServer } from './errors.js';

const TOKEN_CHARS = 20;
const FINGERPRINT_CHARS_MIN = 20;
const FINGERPRINT_CHARS = 52;
const TIMEOUT_MS = 30_000;
const FORM = /^(?:dockbridge:)?(?:(mqtts?):\/\/)?([^/]+)\/([^/]+)\/([^/]+)\/([^/]+)$/i;
/** CONNACK codes of credentials that are not accepted (MQTT 3.1.1 §3.2.2.3). */
const BAD_CREDENTIALS = [4, 5];

/** @param {string} text @returns {Claim} */
export function parseClaim(text) {
  const [, scheme = 'mqtts', hosts = '', site = '', device = '', typed = ''] = FORM.exec(text.replace(/\s/g, '')) ?? [];
  const code = typed.replaceAll('-', '').toUpperCase().replaceAll('0', 'O').replaceAll('1', 'I').replaceAll('8', 'B');
  const [token, fingerprint] = [code.slice(0, TOKEN_CHARS), code.slice(TOKEN_CHARS)];
  if (!/^[A-Z2-7]+$/.test(code) || token.length < TOKEN_CHARS) throw new InvalidClaim('it has the form HOST/SITE/DEVICE/CODE');
  if (fingerprint && (fingerprint.length < FINGERPRINT_CHARS_MIN || fingerprint.length > FINGERPRINT_CHARS)) throw new InvalidClaim('its code is not all there');
  const tls = scheme.toLowerCase() === 'mqtts';
  return { addresses: hosts.split(',').map((part) => addressOf(part, tls)), tls, site: unescaped(site), device: unescaped(device), token, fingerprint };
}

/**
 * Redeems a claim. If it is interrupted, the same claim can be redeemed again: until the password is saved and acknowledged, each time brings another one.
 * @param {string} text @param {Means} means @returns {Promise<Redeemed>}
 */
export async function redeem(text, means, timeoutMs = TIMEOUT_MS) {
  const claim = parseClaim(text);
  const why = [];
  for (const address of claim.addresses) {
    try {
      const ca = claim.fingerprint ? await means.authority(address, claim) : undefined;
      const redeemed = await redeemAt(address, ca, claim, means, timeoutMs);
      if (await logsIn(redeemed, means, timeoutMs)) return redeemed;
      throw new ClaimRefused('another device has redeemed it at the same moment');
    } catch (/** @type {any} */ error) {
      if (error instanceof ClaimRefused || error instanceof WrongServer) throw error;
      why.push(`${address.host}:${address.port}: ${error.message}`);
    }
  }
  throw new ServerNotReached(why.join('; '));
}

/** @param {Address} address @param {string | undefined} ca @param {Claim} claim @param {Means} means @param {number} timeoutMs @returns {Promise<Redeemed>} */
function redeemAt(address, ca, claim, means, timeoutMs) {
  const topic = `v1/${escape(claim.site)}/devices/${escape(claim.device)}/credentials`;
  const client = means.connect(address, terms(`claim:${claim.device}`, claim.token), claim.tls, ca);
  return settled(client, timeoutMs, (leave, reject) => {
    client.handleMessage = (packet, done) => {
      const said = decode(/** @type {Uint8Array} */ (packet.payload));
      const redeemed = { site: said.site, device: said.device, password: said.password, address, tls: claim.tls, ca };
      means.save(redeemed).then(() => { done(); leave(redeemed); }, reject); // done() acknowledges it
    };
    client.once('connect', () => client.subscribe(topic, { qos: 1 }, (error) => { if (error) reject(new ClaimRefused(`it may not read ${topic}`)); }));
  });
}

/** @param {Redeemed} redeemed @param {Means} means @param {number} timeoutMs */
async function logsIn({ address, device, password, tls, ca }, means, timeoutMs) {
  const client = means.connect(address, terms(device, password), tls, ca);
  try {
    await settled(client, timeoutMs, (leave) => { client.once('connect', () => leave(true)); });
    return true;
  } catch (error) {
    if (error instanceof ClaimRefused) return false;
    throw error;
  }
}

/**
 * What becomes of one connection. `leave` says goodbye, once everything is written. @template T
 * @param {import('mqtt').MqttClient} client @param {number} timeoutMs
 * @param {(leave: (value: T) => void, reject: (error: Error) => void) => void} begin @returns {Promise<T>}
 */
async function settled(client, timeoutMs, begin) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isLeaving = false;
  try {
    return await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no answer in time')), timeoutMs);
      client.on('error', (/** @type {any} */ error) => reject(BAD_CREDENTIALS.includes(error.code) ? new ClaimRefused('redeemed, expired or withdrawn') : error));
      client.on('close', () => { if (!isLeaving) reject(new Error('the connection ended')); });
      begin((value) => { isLeaving = true; client.end(false, () => resolve(value)); }, reject);
      client.connect();
    });
  } finally {
    clearTimeout(timer);
    client.end(true);
  }
}

/** @param {string} username @param {string} password @returns {import('mqtt').IClientOptions} */
function terms(username, password) {
  const clientId = `claim-${Math.random().toString(36).slice(2)}`;
  return { username, password, clientId, protocolVersion: 4, clean: true, reconnectPeriod: 0, resubscribe: false, manualConnect: true };
}

/** @param {string} part @param {boolean} tls @returns {Address} */
function addressOf(part, tls) {
  const [, host = '', port] = /^([A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(part) ?? [];
  if (!host || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) throw new InvalidClaim('its address is not HOST or HOST:PORT');
  return { host, port: Number(port ?? (tls ? 8883 : 1883)) };
}

/** The name behind a topic level. @param {string} level */
function unescaped(level) {
  try {
    return decodeURIComponent(level.replace(/~([0-9A-F]{2})/g, '%$1'));
  } catch {
    throw new InvalidClaim('its site or device is not a topic level');
  }
}
