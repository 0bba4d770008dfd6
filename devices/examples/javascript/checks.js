/**
 * What the contract asks of an event, so that a scan that the server could never take is refused before it is stored.
 *
 * @typedef {(value: any, path: string) => string} Check  What is wrong with a value, its path first; '' if nothing is.
 */
const UINT_MAX = Number.MAX_SAFE_INTEGER;
const LEVEL_CHARS_MAX = 96;
const DEPTH_MAX = 8;

/** The topic level of an id: `PO 17/3` is `PO~2017~2F3`. @param {string} id */
export function escape(id) {
  const byByte = (/** @type {number} */ byte) => `~${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return id.replace(/[^A-Za-z0-9_-]/gu, (char) => Array.from(new TextEncoder().encode(char), byByte).join(''));
}

/** @type {(isGood: (value: any) => boolean, expected: string) => Check} */
const must = (isGood, expected) => (value, path) => (isGood(value) ? '' : `${path}: expected ${expected}`);

/** What is wrong with the first that is wrong. @template T @param {T[]} items @param {(item: T, at: number) => string} check */
const firstFault = (items, check) => items.map(check).find((fault) => fault) ?? '';

const integer = (/** @type {number} */ least, /** @type {number} */ most) =>
  must((value) => Number.isInteger(value) && value >= least && value <= most, `integer from ${least} to ${most}`);

const text = (/** @type {number} */ most, shape = /^[^\0]+$/u) =>
  must((value) => typeof value === 'string' && value.isWellFormed() && [...value].length <= most && shape.test(value), `1 to ${most} characters like ${shape}`);

const bytes = (/** @type {number} */ least, most = least) =>
  must((value) => value instanceof Uint8Array && value.length >= least && value.length <= most, `Uint8Array of ${least} to ${most} bytes`);

const oneOf = (/** @type {string[]} */ ...words) => must((value) => words.includes(value), `one of ${words.join(', ')}`);

/** @type {(check: Check, least: number, most: number) => Check} */
const list = (check, least, most) => (value, path) =>
  must(Array.isArray, 'list')(value, path) || integer(least, most)(value.length, `${path}.length`)
  || firstFault(value, (item, at) => check(item, `${path}[${at}]`));

/** @type {(fields: Record<string, Check>) => Check} A name that ends with ? may be left out. Fields that the contract does not have may be there. */
const map = (fields) => (value, path) => must(isMap, 'map')(value, path)
  || firstFault(Object.entries(fields), ([field, check]) => {
    const name = field.replace('?', '');
    return name !== field && (value[name] ?? null) === null ? '' : check(value[name], `${path}.${name}`);
  })
  || firstFault(Object.keys(value), (name) => (name in fields || `${name}?` in fields ? '' : plain(value[name], `${path}.${name}`)));

const isMap = (/** @type {any} */ value) => typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));

/** @type {Check} */
const plain = (value, path) => {
  if (path.split('.').length > DEPTH_MAX) return `${path}: nested too deep`;
  if (isMap(value) || Array.isArray(value)) return firstFault(Object.entries(value), ([key, inner]) => plain(inner, `${path}.${key}`));
  const isPlain = (value ?? null) === null || typeof value === 'boolean' || Number.isFinite(value) || value instanceof Uint8Array;
  return isPlain || (typeof value === 'string' && value.isWellFormed()) ? '' : `${path}: expected what CBOR can hold`;
};

/** An id whose topic level is not too long. @type {Check} */
const named = (value, path) => text(96)(value, path) || must((level) => level.length <= LEVEL_CHARS_MAX, 'a shorter topic level')(escape(value), path);
const flag = must((value) => typeof value === 'boolean', 'true or false');
const [id, word, code, eventId, uint, count] = [text(96), text(64), text(512), bytes(16), integer(0, UINT_MAX), integer(1, 1_000_000)];
const [country, currency] = [text(2, /^[A-Z]{2}$/), text(3, /^[A-Z]{3}$/)];
const [lines, codes] = [list(map({ sku: id, qty: count }), 1, 500), list(code, 1, 500)];
const [nothing, because, atHub, atBorder] = [map({}), map({ reason: word }), map({ hub: id }), map({ country })];
const contact = map({
  'name?': text(200), 'phone?': text(50), 'company?': text(200), 'street?': text(200), 'extra?': text(200), 'city?': text(200), 'region?': text(200),
  'postcode?': text(32), 'country?': country, 'locale?': text(35, /^[^\0]{2,}$/u),
  'lat_e7?': integer(-900_000_000, 900_000_000), 'lon_e7?': integer(-1_800_000_000, 1_800_000_000), 'note?': text(1_000, /^[^\0]*$/u), 'identity?': text(200),
});
const carriage = { 'carrier?': word, 'service?': word };
const shipping = { ...carriage, 'tracking?': id, 'ship_by_ms?': uint, 'contact?': contact };
const podMethod = oneOf('code', 'pin', 'photo', 'signature', 'left_safe', 'neighbour', 'locker', 'station', 'counter', 'scan', 'none');

/** The body of each event type. The repository has a test that holds this table against the server's. @type {Record<string, Check>} */
const BODIES = {
  created: map({
    channel: word, lines, allow_partial: flag, payment: oneOf('prepaid', 'on_delivery'), 'dest_country?': country, 'promise_ms?': uint, 'mode?': word,
    'stops?': list(id, 0, 64), 'amount_minor?': uint, 'currency?': currency, ...shipping,
  }),
  paid: map({ amount_minor: uint, currency }),
  refunded: map({ amount_minor: uint, currency, reason: word }),
  approved: nothing,
  amended: map({ changed: list(word, 1, 64), 'lines?': lines, 'promise_ms?': uint, 'amount_minor?': uint, 'currency?': currency, ...shipping }),
  held: because,
  released: map({ 'reason?': word, 'all?': flag }),
  cancelled: map({ reason: word, 'since_ms?': uint }),
  completed: nothing,
  note_added: map({ text: text(1_000, /^[^\0]*$/u), audience: oneOf('desk', 'courier', 'customer') }),
  shift_started: map({ worker: word }),
  shift_ended: nothing,
  break_started: nothing,
  break_ended: nothing,
  pick: map({ sku: id, qty: count, 'bin?': word, 'short?': flag }),
  pack: map({ 'items?': lines, 'weight_g?': integer(0, 10_000_000), 'dims_mm?': list(integer(1, 100_000), 3, 3) }),
  unpack: because,
  labelled: map({ code, kind: oneOf('sscc', 'waybill', 'plain'), 'replaces?': code, ...carriage }),
  aggregated: map({ parent: code, children: codes }),
  disaggregated: map({ parent: code, 'children?': codes, 'all?': flag }),
  stage: map({ dock: id }),
  load: map({ vehicle: word, 'carrier?': word }),
  unload: map({ 'reason?': word }),
  depart: atHub,
  arrive: atHub,
  customs_entered: map({ country, direction: oneOf('export', 'import', 'transit') }),
  customs_held: map({ country, reason: word }),
  customs_cleared: atBorder,
  border_entered: atBorder,
  assigned: map({ courier: named, 'job?': named }),
  unassigned: map({ job: named, reason: word }),
  cash_counted: map({ courier: id, amount_minor: uint, currency }),
  claim: map({ job: named, rev: uint }),
  decline: map({ job: named, reason: word }),
  pickup: map({ 'carrier?': word }),
  out_for_delivery: map({ 'stop_seq?': integer(0, 10_000) }),
  stop_arrived: map({ stop: id }),
  attempt_failed: because,
  available_for_pickup: map({ point: id, 'until_ms?': uint }),
  delivery: map({
    pod: map({ method: podMethod, 'hash?': bytes(8, 64), 'consent?': flag }),
    'collected?': map({ amount_minor: uint, currency, tender: oneOf('cash', 'card', 'wallet', 'other') }),
  }),
  refused: because,
  return_started: because,
  returned: map({ dock: id, 'items?': lines, 'condition?': word }),
  damaged: map({ severity: oneOf('minor', 'major', 'total'), 'reason?': word }),
  lost: nothing,
  found: nothing,
  destroyed: because,
  void: map({ ref: eventId, reason: oneOf('did_not_occur', 'incorrect_data'), 'corrective?': list(eventId, 0, 16) }),
};

const EVENT = {
  id: eventId, log: bytes(8), seq: integer(1, UINT_MAX), boot: bytes(8), sent_boot: bytes(8), mono_ms: uint, sent_mono_ms: uint, at_ms: uint,
  'tz_min?': integer(-1440, 1440), 'order?': named, 'parcel?': named, 'at?': named, 'code?': code, 'by?': word,
};
/** `[mono_ms, lat_e7, lon_e7, accuracy_m, speed_dm_s or null]` */
const POINT = [uint, integer(-900_000_000, 900_000_000), integer(-1_800_000_000, 1_800_000_000), integer(0, 100_000), integer(0, 10_000)];

/** @param {string} type @param {object} event */
export function faultOfEvent(type, event) {
  const body = Object.hasOwn(BODIES, type) ? BODIES[type] : undefined;
  return body === undefined ? `${type} is not an event type of this contract` : map({ ...EVENT, body })(event, type).replace(`${type}.`, '');
}

/** @param {any[]} point */
export function faultOfPoint(point) {
  return integer(5, 5)(point.length, 'length') || firstFault(POINT, (check, at) => (at === 4 && point[4] === null ? '' : check(point[at], `[${at}]`)));
}
