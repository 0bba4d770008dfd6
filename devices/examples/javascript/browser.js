/** What a device needs of a browser: an outbox in IndexedDB. */
import { OutboxError, OutboxLocked } from './errors.js';

const RECORDS = 'records';

/** @typedef {import('./outbox.js').Change} Change */

/**
 * One object store of a database. The browser is asked to keep it, and to have each write on the disk before it is reported. Where there are Web Locks (pages
 * over https), a second page is kept out.
 *
 * @param {string} name  Of the database. @param {IDBFactory} [factory] @param {Navigator} [browser] @returns {import('./outbox.js').Store}
 */
export function browserStore(name, factory = indexedDB, browser = globalThis.navigator) {
  /** @type {IDBDatabase} */ let db;
  let unlock = () => {};
  return {
    async open() {
      unlock = await locked(`dockbridge-outbox-${name}`, browser?.locks);
      await browser?.storage?.persist?.();
      const opening = factory.open(name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(RECORDS);
      db = await done(opening);
      const records = db.transaction(RECORDS).objectStore(RECORDS);
      const [keys, values] = await Promise.all([done(records.getAllKeys()), done(records.getAll())]);
      return new Map(keys.map((key, at) => [String(key), values[at]]));
    },
    async write(changes) {
      const transaction = db.transaction(RECORDS, 'readwrite', { durability: 'strict' });
      const records = transaction.objectStore(RECORDS);
      for (const [key, value] of changes) value === undefined ? records.delete(key) : records.put(value, key);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(new OutboxError(transaction.error?.message, { cause: transaction.error }));
      });
    },
    async close() {
      db?.close();
      unlock();
    },
  };
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new OutboxError(request.error?.message, { cause: request.error }));
  });
}

/** Holds a lock until the returned function is called or the page is gone. @param {string} name @param {LockManager} [locks] @returns {Promise<() => void>} */
function locked(name, locks) {
  return new Promise((resolve, reject) => {
    if (locks === undefined) return resolve(() => {});
    const hold = (/** @type {Lock | null} */ lock) => {
      if (lock === null) throw new OutboxLocked(name);
      return new Promise((unlock) => resolve(() => unlock(undefined)));
    };
    locks.request(name, { ifAvailable: true }, hold).catch(reject);
  });
}
