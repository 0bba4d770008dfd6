/**
 * What can go wrong on a device. `sentence` is what a user reads, `detail` the facts.
 *
 * DeviceError
 * ├── InvalidEvent           the values break the contract, or the server could never take them; nothing was stored
 * ├── OutboxError            the outbox cannot be used
 * │   ├── OutboxFull
 * │   └── OutboxLocked
 * ├── NotDelivered           a wait ran out
 * │   └── RefusedByServer
 * ├── ClaimError             a claim could not be redeemed
 * │   ├── InvalidClaim
 * │   ├── ClaimRefused
 * │   ├── WrongServer
 * │   └── ServerNotReached
 * └── Closed
 */
export class DeviceError extends Error {
  static sentence = 'Something went wrong on this device.';

  /** @param {string} [detail] @param {ErrorOptions} [options] */
  constructor(detail = '', options) {
    super(detail ? `${new.target.sentence} (${detail})` : new.target.sentence, options);
    this.name = new.target.name;
    this.detail = detail;
  }
}

export class InvalidEvent extends DeviceError { static sentence = 'This scan cannot be sent: a value in it breaks the contract.'; }
export class OutboxError extends DeviceError { static sentence = 'The outbox on this device cannot be used.'; }
export class OutboxFull extends OutboxError { static sentence = 'The outbox is full: connect this device to the network before scanning on.'; }
export class OutboxLocked extends OutboxError { static sentence = 'The outbox is in use by another process or page; only one may send from it.'; }
export class NotDelivered extends DeviceError { static sentence = 'Nothing came from the server in time; what was scanned is safe and will be sent.'; }
export class RefusedByServer extends NotDelivered { static sentence = 'The server refuses this device: check its password; what was scanned is safe.'; }
export class ClaimError extends DeviceError { static sentence = 'The claim could not be redeemed.'; }
export class InvalidClaim extends ClaimError { static sentence = 'This is not a claim: scan the whole code again, or type all of it.'; }
export class ClaimRefused extends ClaimError { static sentence = 'The server does not take this claim: ask for a new one.'; }
export class WrongServer extends ClaimError { static sentence = 'The server is not the one that this claim is of; nothing was said to it.'; }
export class ServerNotReached extends ClaimError { static sentence = "No server answers at the claim's address. The claim can be tried again."; }
export class Closed extends DeviceError { static sentence = 'This device was closed.'; }
