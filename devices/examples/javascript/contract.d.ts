// The wire contract of dockbridge, edition 2, as TypeScript types: the CBOR form, bytes as Uint8Array.
// Generated from the code by `dockbridge contract show typescript`. Do not edit it.

/** A word that the server sends: one of a list, or one of a later edition. A reader must take both. */
export type Open<Word extends string> = Word | (string & {});

/** The JSON form of a message: bytes as lowercase hex. */
export type InJson<T> = T extends Uint8Array ? string : T extends object ? { [Field in keyof T]: InJson<T[Field]> } : T;

/** A number that is not negative, and that a double holds exactly. From 0 to 9007199254740991. */
export type Uint = number;

/** A number from 1 on, that a double holds exactly. From 1 to 9007199254740991. */
export type Positive = number;

/**
 * Milliseconds since 1970 UTC. The range leaves room for nanoseconds: firmware that sends those is
 * recognised, and its scans are not refused. From 0 to 9223372036854775807.
 */
export type WallClock = number;

/** How many: pieces, or answers. From 1 to 1000000. */
export type Count = number;

/**
 * An id of a business: an order, a parcel, an article, a place, a courier, a job. Ids that become
 * topic levels have at most 96 characters once escaped. At most 96 characters.
 */
export type Id = string;

/**
 * A short word. If the site or the device may choose it, readers take any. At most 64 characters.
 */
export type Word = string;

/** A sentence for people, in English. No program should read it. At most 200 characters. */
export type Sentence = string;

/** A few sentences for people, in English. At most 500 characters. */
export type Sentences = string;

/**
 * A scanned text as the scanner gives it, with its symbology identifier (`]C1`) and FNC1 (U+001D)
 * if it sends them. At most 512 characters.
 */
export type Code = string;

/** ISO 3166-1 alpha-2, such as NL. */
export type Country = string;

/** ISO 4217, such as EUR. */
export type Currency = string;

/**
 * The id of an event: a UUIDv7 (RFC 9562); or that of a notice. In JSON 32 hex digits, or with
 * hyphens.
 */
export type EventId = Uint8Array;

/** Eight bytes. In JSON 16 hex digits in lower case. */
export type Bytes8 = Uint8Array;

/** A hash of 8 to 64 bytes, SHA-256 for example. In JSON hex digits in lower case. */
export type ProofHash = Uint8Array;

/** A length in mm. From 1 to 100000. */
export type Millimetres = number;

/** A weight in g. From 0 to 10000000. */
export type Grams = number;

/** A share in percent. From 0 to 100. */
export type Percent = number;

/** Latitude (WGS 84) in degrees times 10^7, north is positive. From -900000000 to 900000000. */
export type LatE7 = number;

/** Longitude (WGS 84) in degrees times 10^7, east is positive. From -1800000000 to 1800000000. */
export type LonE7 = number;

/** A distance in m. From 0 to 100000. */
export type Metres = number;

/** A small number that is not negative. From 0 to 10000. */
export type Small = number;

/** An offset from UTC in minutes, east is positive. From -1440 to 1440. */
export type OffsetMin = number;

/** Words of the sender's choice. At most 64. */
export type Words = Word[];

/** Articles with their quantities. At most 500. */
export type Lines = Line[];

/** Scanned texts. At most 500. */
export type Codes = Code[];

/** Length, width and height in mm. At most 3. */
export type Dimensions = Millimetres[];

/** Stops of an order. At most 64. */
export type StopIds = Id[];

/** Ids of events. At most 16. */
export type EventIds = EventId[];

/** Fixes, oldest first. At most 500. */
export type Points = Point[];

/** What is left of an order. At most 500. */
export type LeftLines = Left[];

/** What was odd. At most 8. */
export type Warnings = Open<Warn>[];

/** The states that were reached, oldest first. At most 64. */
export type Milestones = Milestone[];

/** What stands beside a state. At most 16. */
export type Flags = Open<Flag>[];

/** Reasons of holds. At most 16. */
export type Holds = Word[];

/** Codes on parcels, in their normal form: 18 digits for an SSCC. At most 500. */
export type BorneCodes = Code[];

/** Ids of orders or parcels. At most 500. */
export type Ids = Id[];

/** What to mind at a stop. At most 32. */
export type Handling = Word[];

/** Where a courier goes. At most 500. */
export type Stops = Stop[];

/** A state of an order. `partially_…`: its parcels differ, and this is the least advanced. */
export type OrderStateWord =
  | "approved" | "cancelled" | "completed" | "customs" | "delivered" | "entered" | "exception" |
  "out_for_delivery" | "packed" | "paid" | "partially_customs" | "partially_entered" |
  "partially_out_for_delivery" | "partially_packed" | "partially_picking" | "partially_returning" |
  "partially_shipped" | "pending_payment" | "picking" | "returned" | "returning" | "shipped";

/** A state of an order or of a parcel, or a milestone of a parcel that is no state. */
export type StateWord =
  | "approved" | "attempt_failed" | "available_for_pickup" | "border_entered" | "cancelled" |
  "completed" | "customs" | "delivered" | "destroyed" | "entered" | "exception" | "in_transit" |
  "lost" | "out_for_delivery" | "packed" | "paid" | "partially_customs" | "partially_entered" |
  "partially_out_for_delivery" | "partially_packed" | "partially_picking" | "partially_returning" |
  "partially_shipped" | "pending_payment" | "picking" | "planned" | "returned" | "returning" |
  "shipped" | "staged";

/** What became of an event. */
export type Outcome =
  /** It counts, and it changed the order, one of its parcels or a job. */
  | "applied"
  /**
   * It is true and was known already: nothing changes. A second scan of the same parcel at the same
   * step is a `noop`.
   */
  | "noop"
  /**
   * It counts at the time when it happened. The order has moved on since then, so that what is
   * shown now stays as it is.
   */
  | "late"
  /**
   * It is stored and waits for an order, a label or an event that the server does not know yet.
   * Once that comes, a receipt with a higher `n` follows.
   */
  | "parked"
  /**
   * It is stored and does not count: the order may not be worked on now, for `reason`. Once that is
   * over, scan again: a new event with a new id.
   */
  | "blocked"
  /** A `claim` or `decline` that came too late: the job has changed, or another courier has it. */
  | "lost_claim"
  /**
   * It does not count, for `reason`, and sending it again changes nothing. Seldom, a later event
   * tells more, and a receipt with a higher `n` follows.
   */
  | "rejected";

/**
 * What the device plays. The tone follows from the whole verdict: a device needs no other rule to
 * beep.
 */
export type Tone =
  /** Go on: one short, high beep, a green light. Nothing needs to be read. */
  | "ok"
  /**
   * It counts or waits, and something is odd: two beeps, a yellow light. Show `warn` or `reason`;
   * the worker goes on.
   */
  | "warn"
  /**
   * A person must act now: a long, low tone, a red light. Show `next`, with `reason` or `warn`,
   * until the worker confirms.
   */
  | "stop";

/** Why an event is parked, blocked, rejected or came too late with a claim. */
export type Reason =
  /**
   * The payload breaks the contract; `detail` names the field. The server keeps it in quarantine.
   * Drop it from your outbox and correct the firmware.
   */
  | "malformed"
  /** The last level of the topic is not an event type of this server. */
  | "unknown_type"
  /**
   * The role of this device may not send this, or the topic is not its own; `detail` names the
   * rule.
   */
  | "forbidden"
  /**
   * This device used the `id` for another event before. The receipt has a `digest` and no `id`.
   * Make a new UUIDv7 for every event.
   */
  | "id_reused"
  /**
   * The scanned text claims to be a GS1 code and is not a correct one, is empty, or has characters
   * that cannot be printed.
   */
  | "unreadable_code"
  /** The check digit of the scanned number is wrong: it was read or typed wrongly. */
  | "check_digit"
  /**
   * The code is that of a container (a tote, a cage, a returnable asset), which no parcel can bear
   * as its label.
   */
  | "container"
  /**
   * The scanned code is on a parcel of another order, or on another parcel than the one that is
   * named.
   */
  | "wrong_parcel"
  /**
   * The picked article is not on the order, or the scanned article is not the one that `body.sku`
   * names.
   */
  | "wrong_sku"
  /**
   * A `pack` without `body.items`, although the order has other parcels: the server cannot know
   * what is in this one.
   */
  | "items_needed"
  /** The order has several parcels, and the event does not say which one it is about. */
  | "parcel_needed"
  /** The event names no order, and its code does not say which order it is about. */
  | "order_needed"
  /** A `labelled` with a code that is the id of another order. */
  | "code_taken"
  /** The event was taken back by a `void`. */
  | "voided"
  /** A `void` of a `void`. Send the event that was taken back again, as a new event. */
  | "void_of_void"
  /**
   * A `void` of an event of another device, or a `released` of a hold that only the device that set
   * it may lift.
   */
  | "not_yours"
  /** The job is done, declined or taken back. */
  | "job_closed"
  /**
   * The order has the greatest number of events that one device may send of it, or the job the
   * greatest number of orders.
   */
  | "too_many_events"
  /**
   * This device has said the same of this order very often in a row: the event is stored and has no
   * effect. Look for a trigger that is stuck.
   */
  | "repeated"
  /**
   * The server failed to handle the message, which is a fault of the server. It is in quarantine,
   * from where an operator can handle it again.
   */
  | "poison"
  /** There is no job with this id. The phone has made it up, or shows another site's job. */
  | "unknown_job"
  /** The order was not created yet. The event counts as soon as it is. */
  | "unknown_order"
  /**
   * The scanned code is on no parcel that is known. The event counts as soon as a `pack` or
   * `labelled` tells of it.
   */
  | "unknown_parcel"
  /** The event that a `void` takes back has not arrived. The `void` counts as soon as it does. */
  | "unknown_reference"
  /** The order is on hold. */
  | "held"
  /** The order, or this parcel of it, was cancelled. */
  | "cancelled"
  /** The shop changed the order after work on it had begun, and has to approve it again. */
  | "needs_confirm"
  /** A prepaid order is not paid, and the site does not let it be picked before. */
  | "not_paid"
  /**
   * The `rev` in the `claim` is not the present one of the job: the courier has seen an older job.
   */
  | "stale_rev"
  /** The job is assigned to another courier. */
  | "held_by_another";

/**
 * The one instruction of a receipt: show it in the worker's language, and act on it as described.
 */
export type Next =
  /**
   * Do not send the event again. As long as the receipt is not `final`, another one follows once
   * the missing thing has come.
   */
  | "wait"
  /**
   * Put the goods aside and go on with others. If `final` is false, do not scan them again: the
   * scan counts by itself. Else scan them again later.
   */
  | "set_aside"
  /**
   * A person at the desk has to decide. Keep the goods where they are, and show `order` and
   * `detail`.
   */
  | "call_desk"
  /** The code was read wrongly: scan it again (a new event). */
  | "scan_again"
  /**
   * Put the goods back where they came from: they are the wrong ones, or are not wanted any more.
   */
  | "put_back"
  /**
   * Ask the worker what is in the parcel, and send the `pack` again as a new event with
   * `body.items`.
   */
  | "name_items"
  /**
   * Ask for the order, and send the event again as a new one with `order`, or with the code of a
   * label.
   */
  | "name_order"
  /**
   * Scan the label of the parcel itself (a new event): what was scanned is an article, a container
   * or an order of several parcels.
   */
  | "scan_parcel"
  /**
   * Take the parcel out of the vehicle again, and scan `unload`. It goes to the carrier that
   * `expected.carrier` names.
   */
  | "unload"
  /** Show the job as the assignment topic has it now, and let the courier decide again. */
  | "refresh_jobs"
  /**
   * A fault of the firmware: the worker can do nothing. Report `reason`, `detail` and `digest` to
   * its developer, and go on.
   */
  | "update_firmware";

/**
 * What was odd about an event that counts all the same. These are for the developer of the device,
 * change no tone, and are not shown to a worker: `seq_reused`, `unknown_field`, `id_not_uuid7`,
 * `seq_too_high`, `mono_ahead`, `sent_back`, `points_dropped`.
 */
export type Warn =
  /**
   * This device scanned the same thing at the same step again within 1.5 s. It counts once; look
   * for a trigger that bounces.
   */
  | "double_scan"
  /**
   * The scanned parcel belongs to another order than the named one, or is another parcel. The scan
   * counts for the parcel that was scanned: take it out.
   */
  | "misload"
  /** A `load` of an order that may not leave in parts, and is not packed completely. */
  | "incomplete"
  /**
   * The parcel leaves although its order is on hold, or has to be confirmed. It counts, because it
   * happened: bring it back.
   */
  | "moved_on_hold"
  /**
   * The parcel is on its way although it was cancelled. It counts, because it happened: bring it
   * back.
   */
  | "moved_after_cancel"
  /**
   * The parcel was loaded for another carrier than the one that is to take it (`expected.carrier`).
   * It counts, because it happened: unload it.
   */
  | "wrong_carrier"
  /** The order is not paid, or what came in is not enough. */
  | "not_paid"
  /** A `completed` of an order that is not delivered as a whole. */
  | "not_delivered"
  /** A `pack` that lists an article which is not on the order. */
  | "not_ordered"
  /** More was picked or packed than ordered, or more came back than was delivered. */
  | "too_many"
  /**
   * A `pack` without `body.items` of an order whose lines were not all picked: the server cannot
   * see what is missing.
   */
  | "not_listed"
  /** A `pick` of an article for an order that has left with all of it. */
  | "picked_after"
  /**
   * A `delivery` that names only the order, of parcels that nobody scanned out of the warehouse.
   */
  | "not_scanned"
  /** The parcel is assigned to another courier. */
  | "not_your_job"
  /** Another courier had the parcel until now. */
  | "handed_over"
  /**
   * A courier's shift has ended, and parcels are still with them, or cash that was not counted:
   * `detail` names them. Bring them in.
   */
  | "still_out"
  /**
   * A `released` that left holds standing: `detail` names them. Name one in `body.reason`, or send
   * `body.all`.
   */
  | "still_held"
  /**
   * The monotonic clock of this boot jumped: it stops while the device sleeps, or two boots have
   * one `boot`. Correct the firmware.
   */
  | "clock_jump"
  /**
   * The code is that of an article, not of a label. The event counts for the order that it names.
   */
  | "article_scanned"
  /** No article of the site's list has the scanned code. */
  | "article_unknown"
  /**
   * The label was on another parcel. It is on this one now; two boxes may bear each other's labels,
   * so look at both.
   */
  | "label_moved"
  /**
   * The scanned label was replaced by another one. The scan counts for the parcel that bore it
   * last.
   */
  | "old_label"
  /**
   * Some codes in the container are on no known parcel. The scan counts for them as soon as they
   * are.
   */
  | "some_unknown"
  /**
   * The scanned code is on no parcel of the named order. It has one parcel, so the scan counts for
   * that.
   */
  | "unknown_code"
  /**
   * The container had moved, and is filled again without having been emptied: what was in it counts
   * as taken out.
   */
  | "container_reopened"
  /**
   * The wall clock cannot be right, and no counter says when it happened: the event has the latest
   * time that is possible. Set the clock.
   */
  | "clock_unknown"
  /**
   * Another event of this log had the same `seq`: the outbox was restored or copied. The event
   * counts. Start a new log with `seq` 1.
   */
  | "seq_reused"
  /**
   * The contract does not have some field of the event; `detail` names it. Most often it is
   * misspelt. In an event of a `system` it is not stored.
   */
  | "unknown_field"
  /**
   * The `id` is not a UUIDv7 (RFC 9562): its version or variant is another. Ids that begin with
   * their time keep the server's index small.
   */
  | "id_not_uuid7"
  /**
   * The `seq` is above 1,000,000,000, which no log has counted to: perhaps it is a time. A log
   * counts its events from 1, without a gap.
   */
  | "seq_too_high"
  /**
   * The `mono_ms` is more than a second later than the `sent_mono_ms` of the same boot: nothing is
   * sent before it happens.
   */
  | "mono_ahead"
  /**
   * The `sent_mono_ms` is more than five seconds lower than that of the message before: read the
   * counter anew each time the event is handed to the network. A packet with the DUP flag is not
   * warned of.
   */
  | "sent_back"
  /**
   * Some points of a location batch at QoS 1 were not used; `detail` says how many and why
   * (`PointFault`). At QoS 0 they are only counted.
   */
  | "points_dropped";

/** What stands beside the state of an order or a parcel, and never changes it. */
export type Flag =
  /** The order is on hold: it must not be picked, packed or staged. `holds` has the reasons. */
  | "held"
  /** Customs keep the parcel. */
  | "customs_hold"
  /** The shop changed the lines after work had begun, and has to approve the order again. */
  | "needs_confirm"
  /**
   * Something was missing at its shelf, or was in a parcel that is gone, and has not come since.
   */
  | "short"
  /** The parcel was reported as damaged, and was not packed anew since. */
  | "damaged"
  /** The parcel is lost. */
  | "lost"
  /** Nothing was heard of a shipped order for longer than the site allows. */
  | "silent"
  /** The promised time is near, or past, and the order is not there yet. */
  | "late_risk"
  /** The shop changed the order. The flag stays. */
  | "amended"
  /** It was cancelled while it was on its way: bring it back. */
  | "cancel_requested"
  /** It left while it was on hold: stop it. */
  | "moved_on_hold"
  /** Its courier was taken off, or has declined, and it has no other one yet. */
  | "unassigned"
  /** It left, or was delivered, and is not paid. */
  | "not_paid"
  /** Another courier than the assigned one has it, or had it. */
  | "wrong_courier"
  /** It was loaded for another carrier than its own. */
  | "wrong_carrier"
  /** Some of its goods came back after delivery. */
  | "part_returned";

/** Where a parcel is; ranks are in `bridge.domain.lifecycle`. */
export type ParcelState =
  /** It was named, and nothing is in it yet. */
  | "planned"
  /** Its goods are being picked, or it was opened again. */
  | "picking"
  /** It is packed, and in the warehouse. */
  | "packed"
  /** It stands at its dock. */
  | "staged"
  /** It left the warehouse: a vehicle, a courier or a carrier has it. */
  | "shipped"
  /** It is between hubs, or at one. */
  | "in_transit"
  /** It is being cleared. */
  | "customs"
  /** Customs of its destination have cleared it. */
  | "entered"
  /** A courier is on the way to the recipient with it. */
  | "out_for_delivery"
  /** The recipient has it. */
  | "delivered"
  /** A courier was there and could not hand it over. The next step decides what follows. */
  | "attempt_failed"
  /** It waits for its recipient at a pickup point. */
  | "available_for_pickup"
  /** It is on its way back. */
  | "returning"
  /** It is back at a dock. */
  | "returned"
  /** Nobody can find it. */
  | "lost"
  /** It does not exist any more. */
  | "destroyed"
  /** It was cancelled before it left the warehouse. */
  | "cancelled";

/**
 * Where a courier's job stands. Only an open job (`assigned`, `accepted`) has a retained
 * assignment.
 */
export type JobState =
  /** It was given to the courier, who has not answered. */
  | "assigned"
  /** The courier has claimed it. */
  | "accepted"
  /** The courier has declined it. */
  | "declined"
  /** The desk has taken it back, or nothing is left in it. */
  | "released"
  /** Nothing in it is left to do. */
  | "done";

/**
 * What a notice tells a customer. Readers take other words, and pass over what they do not know.
 */
export type Moment =
  /** A parcel is packed. */
  | "packed"
  /** A parcel has left the warehouse: a courier or a carrier has it. */
  | "collected"
  /** The courier is at the stop of a parcel. */
  | "arrived"
  /** A parcel could not be handed over. */
  | "attempt_failed"
  /** The recipient has a parcel. */
  | "delivered"
  /** An order will be later than promised, or is. */
  | "late"
  /** An order was cancelled. */
  | "cancelled";

/**
 * What an alert is about. Each code has at most one alert for each subject, retained until its
 * cause has ended.
 */
export type AlertCode =
  /**
   * Events wait for an order, a label or an event, for longer than the site allows. Subject: the
   * order, or a short form of the code or event.
   */
  | "parked"
  /** A device is silent and owes events: numbers of its log are missing. Subject: the device. */
  | "gap"
  /** A parcel left while its order was on hold. Subject: the order. */
  | "moved_on_hold"
  /** A parcel is on its way although it was cancelled. Subject: the order. */
  | "moved_after_cancel"
  /** A parcel is, or was, with another courier than the assigned one. Subject: the order. */
  | "not_your_job"
  /** A parcel was loaded for another carrier than its own. Subject: the order. */
  | "wrong_carrier"
  /**
   * The label of a parcel was put on a parcel of another order. Subject: the order that lost it.
   */
  | "label_moved"
  /** A parcel is lost. Subject: the order. */
  | "lost"
  /** A parcel is damaged. Subject: the order. */
  | "damaged"
  /** A recipient refused a parcel. Subject: the order. */
  | "refused"
  /** A parcel could not be delivered too often. Subject: the order. */
  | "attempts"
  /** A device published what it may not send. Subject: the device. */
  | "forbidden"
  /** Messages of a device are in quarantine. Subject: the device. */
  | "quarantine"
  /**
   * The server dropped messages that waited too long, or were too many, for a client. Subject: its
   * device.
   */
  | "dropped"
  /**
   * Logins as a device, or with its claim, failed again and again. Subject: the device; if it was
   * its claim, with `claim:` in front.
   */
  | "logins"
  /** Two programs use one client id and end each other's connections. Subject: the device. */
  | "client_id"
  /**
   * A device sent a packet that is larger than the server takes, and was cut off. Subject: the
   * device.
   */
  | "packet_size"
  /** The server could not back up its database. Subject: the site. */
  | "backup"
  /**
   * The wall clock of a device is not set, is wrong by an hour or more, or does not count in
   * milliseconds. Subject: the device.
   */
  | "clock"
  /** No point that a courier's phone sent for some time could be used. Subject: the device. */
  | "no_position"
  /**
   * The shift of a courier was not ended for so long that it counts as ended. Subject: the courier.
   */
  | "shift_open"
  /** The cash of a courier's shift was not counted in time. Subject: the courier. */
  | "cash_open"
  /**
   * What a carrier says of a parcel and what was scanned here can't both be true. Subject: the
   * order.
   */
  | "contradiction"
  /** The last file of a channel is older than the site allows. Subject: the channel. */
  | "stale_channel"
  /**
   * Notices for customers could not be sent out for some time, or the receiver wants no more.
   * Subject: the site.
   */
  | "notices";

/** How soon a person should look at an alert. */
export type Severity =
  /** Good to know. */
  | "info"
  /** Look at it today. */
  | "warning"
  /** Act now: goods are going where they must not go. */
  | "critical";

/** When an order is to be paid. */
export type Payment =
  /** Before it is picked. What the site does if it is not: `payments.unpaid`. */
  | "prepaid"
  /** At the door: its stop in the courier's assignment then has the handling `collect_payment`. */
  | "on_delivery";

/** For whom a note is. */
export type Audience =
  /** The people of the site. */
  | "desk"
  /** Whoever brings the order, too. */
  | "courier"
  /** Whoever gets the order, too. */
  | "customer";

/** What a label's code is. */
export type LabelKind =
  /**
   * A GS1 Serial Shipping Container Code, in any spelling: 18 digits, with the prefix 00, as
   * element string or as Digital Link.
   */
  | "sscc"
  /** A carrier's number, as it is: the parcel's `tracking` from now on. */
  | "waybill"
  /** Any other text, as it is. */
  | "plain";

/** Why goods are cleared in a country. */
export type CustomsDirection =
  /** They leave it. */
  | "export"
  /** They are to stay there. */
  | "import"
  /** They only cross it. */
  | "transit";

/**
 * How a delivery was proved. `pin`, `scan` and `none` are older words that are still accepted; say
 * `code` for a pin.
 */
export type PodMethod =
  /** The recipient gave the code that was sent to them. */
  | "code"
  /** A photo of the parcel where it was left. */
  | "photo"
  /** The recipient signed. */
  | "signature"
  /** It was left in a place that was agreed on. */
  | "left_safe"
  /** A neighbour took it. */
  | "neighbour"
  /** It was put into a parcel locker. */
  | "locker"
  /** A parcel station took it for the recipient. */
  | "station"
  /** The recipient collected it at a counter. */
  | "counter"
  /** Older word for `code`. */
  | "pin"
  /** Older word: only the label was scanned. */
  | "scan"
  /** Older word: nothing proves it. */
  | "none";

/** With what the recipient paid at the door. */
export type Tender =
  /** Coins and notes. The amount may be rounded to the smallest coin of its currency. */
  | "cash"
  /** A bank card. */
  | "card"
  /** A payment app. */
  | "wallet"
  /** Anything else. */
  | "other";

/** How bad a damage is. */
export type DamageSeverity =
  /** The box is damaged, and what is in it is not. */
  | "minor"
  /** What is in it may be damaged. */
  | "major"
  /** Nothing can be used any more: the parcel counts as destroyed. */
  | "total";

/** Why an event is taken back (the two reasons of EPCIS error declarations). */
export type VoidReason =
  /** It did not happen. */
  | "did_not_occur"
  /** It happened in another way: `corrective` names the events that say how. */
  | "incorrect_data";

/** What every event says. Its type stands in its topic. */
export interface DeviceEvent<Body> {
  /**
   * Made once, with the event, and the same in every resend: site, device and `id` are its
   * identity. The same `id` with other content is `id_reused`.
   */
  id: EventId;
  /**
   * The device's log: random bytes, made when its outbox is created, and kept until the outbox is
   * lost.
   */
  log: Bytes8;
  /**
   * The place in `log`: 1, 2, 3, … without a gap, over restarts too. It shows the server what is
   * missing. A repeated number is `seq_reused`.
   */
  seq: Positive;
  /**
   * Random bytes that name this start of the operating system; of the software, if that is all that
   * can be known. `mono_ms` counts within it.
   */
  boot: Bytes8;
  /**
   * The monotonic clock of `boot` at the event, in ms. It must go on while the device sleeps:
   * Android elapsedRealtime, Linux CLOCK_BOOTTIME, iOS mach_continuous_time. It gives the event its
   * time, whatever the wall clock shows.
   */
  mono_ms: Uint;
  /**
   * The wall clock at the event, as the device believes it. It counts only if no counter says more:
   * 0 if the device has no clock.
   */
  at_ms: WallClock;
  /** `boot` when this copy is handed to the network. New in every resend. */
  sent_boot: Bytes8;
  /**
   * The monotonic clock of `sent_boot` when this copy is handed to the network. The server compares
   * it with its own clock. New in every resend.
   */
  sent_mono_ms: Uint;
  /** The device's time zone at the event, for reports. It may differ in a resend. */
  tz_min?: OffsetMin;
  /** The order, if the device knows it. */
  order?: Id;
  /**
   * The parcel, if the device knows it: its id as a `pack` named it, or as a status or assignment
   * shows it.
   */
  parcel?: Id;
  /**
   * The scanned text, untouched. It says which order and parcel are meant. If it contradicts
   * `order`, the scan is the truth.
   */
  code?: Code;
  /**
   * Where it happened: a station, dock or hub. Without it, the place with which the device was
   * enrolled.
   */
  at?: Id;
  /**
   * Who acted: what is on their badge. The server stores a random pseudonym in its place. It may
   * differ in a resend. `shift_started` makes it needless.
   */
  by?: Word;
  /** What the event type asks for. An empty map if it asks for nothing. */
  body: Body;
}

/** The server's answer to one message. The highest (`epoch`, `n`) of an `id` holds. */
export interface Receipt {
  /**
   * 1 for the first answer to an event, one more with each change of the verdict. A resend is
   * answered with the present one.
   */
  n: Count;
  /**
   * False while the event is parked: another receipt follows. True: none is expected, though one
   * comes if a late event or a `void` changes the past.
   */
  final: boolean;
  /** What became of the event. */
  outcome: Open<Outcome>;
  /** What to play. It follows from all the rest. */
  tone: Open<Tone>;
  /** When the server made this verdict. */
  at_ms: Uint;
  /**
   * The event type as it was sent: the last level of its topic, cut to 64 characters. `presence`
   * and `location` name themselves. Always there if it could be known.
   */
  type?: Word;
  /**
   * The event. With a `digest`: as far as it could be read, and left out if another event has it.
   */
  id?: EventId;
  /**
   * The first 8 bytes of SHA-256 over the payload as it was received. With it, that message never
   * became an event, and the receipt is about that one payload: it says nothing about an event with
   * the same `id`.
   */
  digest?: Bytes8;
  /** The log of the event, if it could be read. */
  log?: Bytes8;
  /** The number of the event in its log, if it could be read. */
  seq?: Positive;
  /**
   * True: the message was known already, and this repeats its present verdict. A device beeps only
   * if it has not shown that verdict before.
   */
  again?: boolean;
  /**
   * True: the verdict changed long after the event, or in another shift, or it is about the points
   * of a location batch. Show it, and do not beep.
   */
  quiet?: boolean;
  /** The order that the event belongs to. Not there if it is several, or none. */
  order?: Id;
  /** The parcel, if it is one. A `pack` without a name learns here how its parcel is called. */
  parcel?: Id;
  /** The state of the order right after the event. */
  state?: Open<OrderStateWord>;
  /** The `rev` of the order's status in which the event is contained. */
  rev?: Uint;
  /** Why it is not `applied`, `noop` or `late`. */
  reason?: Open<Reason>;
  /**
   * The particulars in English, for developers and for the desk: the field that is wrong, the rule,
   * the holds that stand.
   */
  detail?: Sentence;
  /** The one instruction for the worker. */
  next?: Open<Next>;
  /** After a `pick` or a `pack`: what is left of the order. Not there if nothing is. */
  left?: LeftLines;
  /** What the server would have taken instead. */
  expected?: Expected;
  /** What was odd. Not there if nothing was. */
  warn?: Warnings;
  /** The epoch of the database that gave this verdict. */
  epoch?: Uint;
}

/**
 * What of an order line is still to be picked or packed, and where it is, if the site has a list of
 * articles.
 */
export interface Left {
  /** The article, as the order names it. */
  sku: Id;
  /** How many are left. */
  qty: Count;
  /** The shelf. */
  bin?: Word;
  /** The article's name, in the site's language. */
  name?: Word;
}

/**
 * What the server would have taken instead: a device can show it to its worker. A server of this
 * edition sends `carrier` alone.
 */
export interface Expected {
  /** The order that was meant. */
  order?: Id;
  /** The parcel that was meant. */
  parcel?: Id;
  /** The article that was meant. */
  sku?: Id;
  /** The present `rev` of the job. */
  rev?: Uint;
  /** The carrier that is to take the parcel. */
  carrier?: Word;
}

/**
 * What the server lacks of a device after its database was restored: the device sends those events
 * again that it still has, as they were. It comes on the receipts topic, where a map with the key
 * `resend` is never a receipt.
 */
export interface ResendRequest {
  /** Which events. What the device does not have any more it passes over. */
  resend: SeqRange;
  /** The epoch of the database that asks. */
  epoch?: Uint;
}

/** The events of one log from one number to another, both included. */
export interface SeqRange {
  /** The log: the present one of the device, or an earlier one. */
  log: Bytes8;
  /** The lowest `seq` that is asked for. */
  from: Positive;
  /** The highest `seq` that is asked for. */
  to: Positive;
}

/**
 * The retained status of an order. The highest (`epoch`, `rev`) holds. An empty payload: the order
 * ended some weeks ago, or never was.
 */
export interface OrderStatus {
  /** The order. */
  order: Id;
  /** Where it is: as far as its least advanced live parcel. */
  state: Open<OrderStateWord>;
  /** What stands beside the state: those of the order and of all its parcels. */
  flags: Flags;
  /** One more with each visible change. */
  rev: Uint;
  /** Since when it is in this state. */
  at_ms: Uint;
  /** When the server made this status. */
  updated_ms: Uint;
  /** How many parcels are how far. */
  progress: Progress;
  /** For a progress bar. */
  percent: Percent;
  /** The states that it has reached, oldest first. */
  milestones: Milestones;
  /** The last event that changed it. */
  last: Last;
  /**
   * The same for the same facts on every server: compare two machines by it. It changes with
   * everything but `rev`, `updated_ms`, `silent`, `late_risk`.
   */
  hash: Bytes8;
  /** When it will be delivered. A server of this edition does not send it. */
  eta?: Eta;
  /** The reasons of the holds that stand, the first ones in alphabetical order. */
  holds?: Holds;
  /** The epoch of the database. */
  epoch?: Uint;
}

/**
 * Counts of parcels. `packed`, `shipped` and `delivered` count parcels that are there or further.
 */
export interface Progress {
  /** All parcels of the order. */
  parcels: Uint;
  /** Those that are packed. */
  packed: Uint;
  /** Those that have left the warehouse. */
  shipped: Uint;
  /** Those that the recipient has. */
  delivered: Uint;
  /** Those that are lost, destroyed, damaged, or could not be handed over. */
  exceptions: Uint;
}

/** A state that was reached. */
export interface Milestone {
  /** The state. */
  state: Open<StateWord>;
  /** When it was reached first. If it is `inferred`, the latest that it can have been. */
  at_ms?: Uint;
  /** When it is expected. A server of this edition does not send it. */
  expected_ms?: Uint;
  /** True: no event reported it, and a later one proves it. */
  inferred?: boolean;
}

/** The last event that changed the order. */
export interface Last {
  /** Its type. */
  type: Open<EventType>;
  /** When it happened. */
  at_ms: Uint;
}

/** When an order will be delivered. A server of this edition does not publish it. */
export interface Eta {
  /** The earliest time. */
  from_ms: Uint;
  /** The latest time. */
  to_ms: Uint;
  /** When this was estimated. */
  made_ms: Uint;
  /** Who estimated it. */
  source: Word;
}

/** The retained status of one parcel. The highest (`epoch`, `rev`) holds. */
export interface ParcelStatus {
  /** The parcel. */
  parcel: Id;
  /** Its order. */
  order: Id;
  /** Where it is. */
  state: Open<ParcelState>;
  /** What stands beside the state. */
  flags: Flags;
  /** The `rev` of the order with which it changed last. */
  rev: Uint;
  /** Since when it is in this state. */
  at_ms: Uint;
  /** The states that it has reached, oldest first. */
  milestones: Milestones;
  /** As in the status of the order. */
  hash: Bytes8;
  /** The codes on it, in their normal form: 18 digits for an SSCC. */
  codes?: BorneCodes;
  /** Where it was seen last: a dock, hub, stop, pickup point or country. */
  where?: Id;
  /** Which carrier takes it: its own, or its order's. */
  carrier?: Word;
  /** Which service of the carrier. */
  service?: Word;
  /** The number under which the carrier follows it. */
  tracking?: Code;
  /** Failed deliveries. */
  attempts?: Uint;
  /** The epoch of the database. */
  epoch?: Uint;
}

/**
 * A device is there, or (its will) no longer. Published on every connect, before events: it gives
 * the first clock sample. What is retained is what the device said last, with `online` as its
 * connections say. It has no clock if a connection was lost, or nothing was said since it began.
 */
export interface Presence {
  /**
   * True after each connect. False in the will, and before a DISCONNECT. For readers: whether a
   * connection of the device stands.
   */
  online: boolean;
  /**
   * The present start, as in events. For readers: eight zero bytes if the device has never
   * published its presence.
   */
  boot: Bytes8;
  /** The log of the outbox, as in events. Not in the will. */
  log?: Bytes8;
  /** The highest `seq` that was made in `log`; 0 if none was. Not in the will. */
  last_seq?: Uint;
  /** How many events of `log` the server has not acknowledged yet. Not in the will. */
  backlog?: Uint;
  /** The charge of the battery. */
  battery_percent?: Percent;
  /** The name and version of the firmware, for the desk. */
  firmware?: Word;
  /** The wall clock now. Not in the will: it would show when the device connected. */
  at_ms?: WallClock;
  /** The monotonic clock of `boot` now. Not in the will. */
  mono_ms?: Uint;
}

/**
 * Where a courier's phone was, as fixes since the last batch. QoS 0; QoS 1 for fixes that were kept
 * while there was no network. A fix that cannot be used does not spoil the others.
 */
export interface LocationBatch {
  /** The log of the outbox, as in events. */
  log: Bytes8;
  /** The start in which all these fixes were made. */
  boot: Bytes8;
  /** The monotonic clock of `boot` when the batch is handed to the network. */
  sent_mono_ms: Uint;
  /** The fixes, oldest first. */
  points: Points;
}

/** One fix, as an array: `[mono_ms, lat_e7, lon_e7, accuracy_m, speed_dm_s or null]`. */
export type Point = [
  /** The monotonic clock of the batch's `boot` at the fix. */
  mono_ms: Uint,
  /** Where it was. */
  lat_e7: LatE7,
  /** Where it was. */
  lon_e7: LonE7,
  /** The radius of the uncertainty, as the phone gives it, rounded up. */
  accuracy_m: Metres,
  /** The speed in tenths of a metre per second, or null if it is not known. */
  speed_dm_s: Small | null,
];

/**
 * Where an order is: with the courier who has it, while it is out for delivery and one of his next
 * stops. Rounded to what a recipient may know. Retained, and cleared when it is not out any more,
 * or the courier was not heard for some time.
 */
export interface Position {
  /** Where it was. */
  lat_e7: LatE7;
  /** Where it was. */
  lon_e7: LonE7;
  /** The radius of the uncertainty. */
  accuracy_m: Metres;
  /** When it was there. */
  at_ms: Uint;
  /**
   * True if the courier was not heard since then as often as usual. It is cleared soon, unless he
   * is heard.
   */
  stale?: boolean;
}

/**
 * A courier's open job, retained. An empty payload on its topic: the job is over or belongs to
 * another courier; take it off the phone.
 */
export interface Assignment {
  /** The job. */
  job: Id;
  /** One more with each change. A `claim` names the one that the courier has seen. */
  rev: Uint;
  /** `assigned`: not answered yet; `accepted`: claimed. */
  state: Open<JobState>;
  /** Where to go, in the order of assignment. */
  stops: Stops;
  /** Until when the courier has to answer. A server of this edition does not send it. */
  lease_until_ms?: Uint;
  /** The epoch of the database. */
  epoch?: Uint;
}

/**
 * One stop of a job, with the codes of its parcels so that a phone can check scans without signal.
 */
export interface Stop {
  /** The stop. */
  stop: Id;
  /** The orders to deliver here. */
  orders: Ids;
  /** Their parcels that are in this job. Empty until they are packed. */
  parcels: Ids;
  /** The codes on these parcels, in their normal form. */
  codes: BorneCodes;
  /**
   * What to mind: `collect_payment` if the recipient has to pay. Readers take other words, and show
   * them as they are.
   */
  handling: Handling;
}

/**
 * Something that the customer of an order is told, once. It names nobody: who the customer is, and
 * how to reach them, the shop knows.
 */
export interface Notice {
  /** The notice. If it comes again, it is the same one: pass it on once. */
  id: EventId;
  /** The order. */
  order: Id;
  /** What it is about. */
  moment: Open<Moment>;
  /**
   * 1 for the first time that this is told of the parcel or order, 2 for the second, such as
   * another failed attempt.
   */
  occurrence: Count;
  /** When it happened, as far as was known then. */
  at_ms: Uint;
  /** What to tell the customer. */
  texts: InLanguages;
  /** The parcel. Left out if it is about the whole order. */
  parcel?: Id;
  /**
   * True: this was told before (the same `moment` and `occurrence`), and turned out not to have
   * happened.
   */
  correction?: boolean;
}

/** What a notice says, in each language. */
export interface InLanguages {
  /** In English. */
  en: Sentences;
  /** In Chinese. */
  zh: Sentences;
}

/**
 * Something that a person has to look at. Retained, and cleared (an empty payload) when its cause
 * has ended.
 */
export interface Alert {
  /** What it is about. */
  code: Open<AlertCode>;
  /** Whom or what it concerns. */
  subject: Id;
  /** How soon to look at it. */
  severity: Open<Severity>;
  /** When it was raised. */
  since_ms: Uint;
  /** What has happened. */
  text: Sentences;
  /** What to do about it. */
  fix: Sentences;
  /** When a person said that somebody looks at it. Left out: nobody has. */
  acknowledged_ms?: Uint;
  /** Until when it is not to disturb anybody, such as by a sound. Left out: it may. */
  silenced_until_ms?: Uint;
}

/** The server's own state, retained. */
export interface BridgeState {
  /** False: the server is being stopped. A crash says nothing: the connection is lost. */
  online: boolean;
  /** The version of the program. */
  version: Word;
  /** When it started. */
  started_ms: Uint;
  /** The edition of the contract that it speaks. A later one only adds. */
  contract: Word;
  /**
   * One more each time that the database is restored from a backup: what was said in an earlier
   * epoch may be undone. Left out while it is 0, here and in every other message.
   */
  epoch?: Uint;
  /** What it takes from one client. Until a client has read it, it assumes the defaults. */
  limits?: Limits;
}

/** What the server takes from one client, and sends to it. */
export interface Limits {
  /** The largest MQTT packet. A larger one closes the connection. */
  packet_bytes_max: Uint;
  /**
   * The largest payload that fits into a packet, whatever its topic: check it before an event goes
   * into the outbox.
   */
  payload_bytes_max: Uint;
  /**
   * Messages a second, on average. A client that is faster is read more slowly; nothing is lost.
   */
  publish_rate_max: Uint;
  /** QoS 1 and 2 messages that the server has in flight to one client. */
  window: Uint;
}

/**
 * What a device logs in with, for a client that redeems the device's claim. Store it, then
 * acknowledge it: after that the claim is worth nothing. If the connection ends before, the claim
 * brings another password, and this one is void.
 */
export interface Credentials {
  /** The site: the second level of every topic. */
  site: Id;
  /** The device: its user name, and its client id. */
  device: Id;
  /** Its password from now on, instead of any before. */
  password: Word;
}

/**
 * An order. `amount_minor` in `currency` is what has to be paid for it; without it, every payment
 * is enough.
 */
export interface CreatedBody {
  /** Where it was sold: a name of the shop's choice. */
  channel: Word;
  /** What was ordered. */
  lines: Lines;
  /**
   * True: its parcels may leave one by one. False: loading it before all of it is packed warns
   * `incomplete`.
   */
  allow_partial: boolean;
  /** When it is to be paid. */
  payment: Payment;
  /**
   * Where it goes. Without it, only the `direction` of `customs_entered` tells whether a cleared
   * parcel has arrived.
   */
  dest_country?: Country;
  /**
   * By when it was promised, in ms since 1970 UTC. Before it passes, the order is flagged
   * `late_risk`.
   */
  promise_ms?: Uint;
  /** How it is sent, for people. */
  mode?: Word;
  /** Its stops, for people. */
  stops?: StopIds;
  /** What has to be paid, in minor units (cents). */
  amount_minor?: Uint;
  /** The currency of the amount. */
  currency?: Currency;
  /**
   * Which carrier takes it, such as `DHL`: a name of the shop's choice. A parcel that has none of
   * its own has this one.
   */
  carrier?: Word;
  /** Which service of the carrier, such as `express`. */
  service?: Word;
  /** The number under which the carrier follows it. */
  tracking?: Id;
  /** By when it has to leave the warehouse, in ms since 1970 UTC. */
  ship_by_ms?: Uint;
  /** Who gets it, and where. The server seals it, and shows it only to those who need it. */
  contact?: Contact;
}

/** An article and how many of it. Lines with the same article add up. */
export interface Line {
  /** The article: the shop's number, or a GTIN in any length. */
  sku: Id;
  /** How many pieces. */
  qty: Count;
}

/** Who gets an order, and where. Every field may be left out. */
export interface Contact {
  /** The recipient. */
  name?: string;
  /** Their telephone number. */
  phone?: string;
  /** Their company. */
  company?: string;
  /** Street and number. */
  street?: string;
  /** What else leads to the door: a building, floor, or entrance. */
  extra?: string;
  /** The city. */
  city?: string;
  /** A state, province or district. */
  region?: string;
  /** The postcode. */
  postcode?: string;
  /** The country. */
  country?: Country;
  /** The language in which they are told about their order. */
  locale?: string;
  /** Where it is: latitude. */
  lat_e7?: LatE7;
  /** Where it is: longitude. */
  lon_e7?: LonE7;
  /** What they ask of the courier. */
  note?: string;
  /** A number of their identity card or tax office, where customs ask for it. */
  identity?: string;
}

/** A payment. */
export interface PaidBody {
  /** What came in, in minor units (cents). */
  amount_minor: Uint;
  /** Its currency. Another one than the order's settles nothing. */
  currency: Currency;
}

/** A repayment. */
export interface RefundedBody {
  /** What was paid back, in minor units (cents). */
  amount_minor: Uint;
  /** Its currency. */
  currency: Currency;
  /** Why. */
  reason: Word;
}

/** A body without fields of its own: an empty map. */
export interface NothingBody {
}

/**
 * A changed order. If the event names a parcel, `carrier`, `service` and `tracking` are that
 * parcel's alone; the rest is the order's.
 */
export interface AmendedBody {
  /**
   * What was changed, such as `lines` or `address`: names of the shop's choice, and never what was
   * changed to.
   */
  changed: Words;
  /** All lines as they are now, if they were changed. */
  lines?: Lines;
  /** By when it is promised now, if that was changed, in ms since 1970 UTC. */
  promise_ms?: Uint;
  /** What it costs now, all of it, if that was changed, in minor units of `currency`. */
  amount_minor?: Uint;
  /** The currency of `amount_minor`. */
  currency?: Currency;
  /**
   * Which carrier takes it now, if that was changed; the service and the number of another carrier
   * end with it. An order is not flagged for `carrier`, `service`, `tracking` or `ship_by` in
   * `changed`.
   */
  carrier?: Word;
  /** Which service of the carrier, if that was changed. */
  service?: Word;
  /** The number under which the carrier follows it, if that is new or was changed. */
  tracking?: Id;
  /** By when it has to leave the warehouse now, if that was changed, in ms since 1970 UTC. */
  ship_by_ms?: Uint;
  /**
   * Who gets it now, and where, if that was changed: all of it. An order is not flagged for
   * `contact` in `changed`.
   */
  contact?: Contact;
}

/** A body that only gives its reason: a short word, never a sentence with a person in it. */
export interface BecauseBody {
  /** Why. Take a word of the list of this event type if one fits. */
  reason: Word;
}

/** The end of a hold: of the one for this reason, of `all`, or, with neither, of the only one. */
export interface ReleasedBody {
  /** The reason of the hold that ends. */
  reason?: Word;
  /** True: every hold ends. */
  all?: boolean;
}

/** A cancellation. It binds from when the server knows it. */
export interface CancelledBody {
  /** Why. */
  reason: Word;
  /**
   * When the shop cancelled, in ms since 1970 UTC: shown instead, if the server learns of it later.
   */
  since_ms?: Uint;
}

/** A note about an order. */
export interface NoteAddedBody {
  /** What it says. */
  text: string;
  /** For whom it is. */
  audience: Audience;
}

/** A worker and a device. */
export interface ShiftStartedBody {
  /** What is on their badge. The server stores a random pseudonym in its place. */
  worker: Word;
}

/** The end of a shift: that of the device's worker, or of the courier whom a desk names. */
export interface ShiftEndedBody {
  /**
   * Whose shift it was, if a desk ends one that was forgotten. Others leave it out: a device ends
   * its own.
   */
  courier?: Id;
}

/** Goods that were taken. */
export interface PickBody {
  /**
   * The article, as the order names it, or by another of its numbers. `code`, if there is one, is
   * what was scanned, and must be this article.
   */
  sku: Id;
  /** How many pieces were taken. With `short`, it does not count. */
  qty: Count;
  /** The shelf. */
  bin?: Word;
  /** True: they are not there. The order is flagged `short`, and nothing is counted as picked. */
  short?: boolean;
}

/** A packed parcel. */
export interface PackBody {
  /**
   * What is in it. Needed if the order has several parcels (`items_needed`); without it, everything
   * that is not in the others.
   */
  items?: Lines;
  /** Its weight. */
  weight_g?: Grams;
  /** Length, width and height. */
  dims_mm?: Dimensions;
}

/** A label on a parcel. */
export interface LabelledBody {
  /** What the label says when it is scanned. */
  code: Code;
  /** What this code is. */
  kind: LabelKind;
  /**
   * The label that was on the parcel before. It is an `old_label` from now on, and says which
   * parcel is meant if nothing else does.
   */
  replaces?: Code;
  /**
   * Which carrier the label is of, if it is of one. The parcel goes with this carrier, whichever
   * the order goes with.
   */
  carrier?: Word;
  /**
   * Which service of the carrier. The number under which the carrier follows the parcel is `code`,
   * if `kind` is `waybill`.
   */
  service?: Word;
}

/** Labels, order ids or containers were put into a container. */
export interface AggregatedBody {
  /** The code of the container. */
  parent: Code;
  /** The codes of what was put into it. */
  children: Codes;
}

/** Some children, or with `all` everything, were taken out of a container. */
export interface DisaggregatedBody {
  /** The code of the container. */
  parent: Code;
  /** The codes of what was taken out. */
  children?: Codes;
  /** True: everything was. */
  all?: boolean;
}

/** A dock. */
export interface StageBody {
  /** The dock. */
  dock: Id;
}

/** A vehicle. */
export interface LoadBody {
  /** Its number or name. */
  vehicle: Word;
  /**
   * Which carrier it belongs to. Without it, the site's settings can say so, by the vehicle, the
   * dock or the device. A parcel for another carrier is answered with `stop` and `wrong_carrier`.
   */
  carrier?: Word;
}

/** A parcel that does not leave after all. */
export interface UnloadBody {
  /** Why. Without it, it was simply unloaded. */
  reason?: Word;
}

/** A hub: a place between the warehouse and the recipient. */
export interface AtHubBody {
  /** The hub. */
  hub: Id;
}

/** The beginning of a clearance. */
export interface CustomsEnteredBody {
  /** Whose customs. */
  country: Country;
  /** Why they clear it. */
  direction: CustomsDirection;
}

/** A parcel that customs keep. */
export interface CustomsHeldBody {
  /** Whose customs. */
  country: Country;
  /** Why. */
  reason: Word;
}

/** A country. */
export interface AtBorderBody {
  /** The country. */
  country: Country;
}

/** A courier, and the job in which they get the order. */
export interface AssignedBody {
  /** The courier, as their phone was enrolled. */
  courier: Id;
  /**
   * The job. An open one gets this order too; without it, the order is a job of its own, whose id
   * the server makes.
   */
  job?: Id;
}

/** A job that is taken back. */
export interface UnassignedBody {
  /** The job. */
  job: Id;
  /** Why. */
  reason: Word;
}

/**
 * The cash of a shift that a courier handed in, as the desk has counted it; from the courier's
 * phone, how much it was by the courier's own count.
 */
export interface CashCountedBody {
  /** The courier. From a phone it is the phone's own. */
  courier: Id;
  /** How much it was, in minor units (cents). */
  amount_minor: Uint;
  /** Its currency. */
  currency: Currency;
  /** Why it is not what was collected, if the desk knows. */
  reason?: Word;
}

/** A job that is accepted. */
export interface ClaimBody {
  /** The job. */
  job: Id;
  /**
   * The `rev` of the assignment that the courier has seen. If it has changed since, the answer is
   * `lost_claim`.
   */
  rev: Uint;
}

/** A job that is left to others. */
export interface DeclineBody {
  /** The job. */
  job: Id;
  /** Why. */
  reason: Word;
}

/** A parcel in the hands of a courier, or of a carrier's driver. */
export interface PickupBody {
  /** Which carrier's driver takes it, if it is one; as in `load`. */
  carrier?: Word;
}

/** The way to a stop. */
export interface OutForDeliveryBody {
  /** The number of the stop in the courier's tour. */
  stop_seq?: Small;
}

/** A stop. */
export interface StopArrivedBody {
  /** The stop, as the assignment names it. */
  stop: Id;
}

/** A pickup point. */
export interface AvailableForPickupBody {
  /** The pickup point. */
  point: Id;
  /** Until when it is kept there, in ms since 1970 UTC. */
  until_ms?: Uint;
}

/** A handover. */
export interface DeliveryBody {
  /** What proves it. */
  pod: ProofOfDelivery;
  /** What the recipient paid. */
  collected?: Collected;
}

/**
 * How a delivery is proved; only the hash of a picture or signature travels, never the thing
 * itself.
 */
export interface ProofOfDelivery {
  /** How. */
  method: PodMethod;
  /** The hash of the picture, signature or code. */
  hash?: ProofHash;
  /** Whether the recipient agreed to a place or person other than the door. */
  consent?: boolean;
}

/** Money that the courier took. */
export interface Collected {
  /** How much, in minor units (cents). */
  amount_minor: Uint;
  /** Its currency. */
  currency: Currency;
  /** How it was paid. */
  tender: Tender;
}

/** What came back; without `items` it is the whole parcel. */
export interface ReturnedBody {
  /** Where it came back to. */
  dock: Id;
  /** What came back, if it is only a part of a delivered parcel. */
  items?: Lines;
  /** How it looks. `Condition` in `reasons.py` has the words; others are accepted. */
  condition?: Word;
}

/** A damage. */
export interface DamagedBody {
  /** How bad it is. */
  severity: DamageSeverity;
  /** What did it. */
  reason?: Word;
}

/** An event that is taken back. */
export interface VoidBody {
  /** Its `id`. */
  ref: EventId;
  /** Why. */
  reason: VoidReason;
  /** The `id`s of the events that stand in its place. They are only noted. */
  corrective?: EventIds;
}

/** The body of each event type. */
export interface Bodies {
  /**
   * The shop has a new order: `pending_payment`. Events about it that came before wait for this
   * one, and count then.
   */
  created: CreatedBody;
  /** Money for the order came in. The order is `paid` once enough did: partial payments add up. */
  paid: PaidBody;
  /**
   * Money was paid back. Once everything was, the order is unpaid again, unless it is delivered.
   */
  refunded: RefundedBody;
  /**
   * The shop has checked the order: `approved`, if work on it has not begun. It also confirms a
   * changed order.
   */
  approved: NothingBody;
  /**
   * The shop has changed the order. With `lines`, these replace the old ones, and an order on which
   * work has begun waits for `approved`.
   */
  amended: AmendedBody;
  /**
   * The order must not be picked, packed or staged until it is released. Each reason is a hold of
   * its own.
   */
  held: BecauseBody;
  /** A hold, or all of them, is lifted. */
  released: ReleasedBody;
  /**
   * The order, or only the named parcel, is not wanted any more: `cancelled`, if it is still in the
   * house. What is on its way is to come back.
   */
  cancelled: CancelledBody;
  /** The shop closes a delivered order: `completed`. The server does so itself after some days. */
  completed: NothingBody;
  /**
   * Someone wrote something about an order. The server seals the text, and shows it only to those
   * for whom it is.
   */
  note_added: NoteAddedBody;
  /**
   * A worker takes the device. What it sends from now on was done by them. It also makes receipts
   * of earlier scans `quiet`.
   */
  shift_started: ShiftStartedBody;
  /** The worker has laid the device down. */
  shift_ended: ShiftEndedBody;
  /** The worker takes a break. */
  break_started: NothingBody;
  /** The worker is back from a break. */
  break_ended: NothingBody;
  /**
   * Goods were taken from their shelf for an order. Each `pick` adds: three pieces are one event
   * with `qty` 3 or three with 1.
   */
  pick: PickBody;
  /** A parcel was packed. Its `code`, if it has one, is the label that is on it from now on. */
  pack: PackBody;
  /**
   * A parcel was opened again: its contents are to be picked and packed anew, and its label is
   * free. Name the order: the label alone is not enough.
   */
  unpack: BecauseBody;
  /** A label was put on a parcel. Scans of its code are scans of this parcel from now on. */
  labelled: LabelledBody;
  /**
   * Parcels, orders or containers were put into a container. From now on a scan of the container is
   * a scan of everything in it.
   */
  aggregated: AggregatedBody;
  /** They were taken out of the container again. */
  disaggregated: DisaggregatedBody;
  /** A parcel was put at its dock. */
  stage: StageBody;
  /** A parcel was put into a vehicle and leaves the warehouse. */
  load: LoadBody;
  /** A parcel was taken out of the vehicle again, before it left for good. */
  unload: UnloadBody;
  /** A parcel left a hub. */
  depart: AtHubBody;
  /** A parcel arrived at a hub, also after a failed delivery. */
  arrive: AtHubBody;
  /** Customs have begun to clear a parcel. */
  customs_entered: CustomsEnteredBody;
  /** Customs keep a parcel. */
  customs_held: CustomsHeldBody;
  /**
   * Customs have cleared a parcel. In the country of its destination it has then `entered`;
   * elsewhere it goes on.
   */
  customs_cleared: AtBorderBody;
  /** A parcel crossed the border of a country. It is a milestone, and no state. */
  border_entered: AtBorderBody;
  /**
   * An order, or only the named parcel, is given to a courier, in a job. Orders with one `job` form
   * a round.
   */
  assigned: AssignedBody;
  /** A job is taken from its courier. */
  unassigned: UnassignedBody;
  /** The cash that a courier handed in was counted. */
  cash_counted: CashCountedBody;
  /** The courier accepts a job, as it was at `rev`. */
  claim: ClaimBody;
  /** The courier does not take a job, or gives it back. */
  decline: DeclineBody;
  /** A courier took a parcel into their hands. */
  pickup: PickupBody;
  /** A courier is on the way to the recipient. From now on the order has a position. */
  out_for_delivery: OutForDeliveryBody;
  /** A courier is at a stop. */
  stop_arrived: StopArrivedBody;
  /** A parcel could not be handed over. The server counts the attempts. */
  attempt_failed: BecauseBody;
  /** A parcel waits for its recipient at a pickup point. */
  available_for_pickup: AvailableForPickupBody;
  /** A parcel was handed over, at the door or over a counter. */
  delivery: DeliveryBody;
  /** The recipient does not take a parcel: it goes back. */
  refused: BecauseBody;
  /** A parcel is on its way back. */
  return_started: BecauseBody;
  /** A parcel came back to a dock; with `items`, only some of the goods of a delivered one. */
  returned: ReturnedBody;
  /** A parcel is damaged. */
  damaged: DamagedBody;
  /** A parcel cannot be found. */
  lost: NothingBody;
  /**
   * A lost parcel is there again, in the state that it had before. Without a parcel, all lost
   * parcels of the order.
   */
  found: NothingBody;
  /** A parcel does not exist any more. */
  destroyed: BecauseBody;
  /**
   * An earlier event is taken back, as if it had never been sent. A device takes back its own;
   * systems and the desk any.
   */
  void: VoidBody;
}

export type EventType = keyof Bodies;

/** The payload of an event of this type. */
export type EventOf<Type extends EventType> = DeviceEvent<Bodies[Type]>;

/** An event with its type, which stands in its topic: narrow `event.body` by `type`. */
export type TypedEvent = { [Type in EventType]: { type: Type; event: EventOf<Type> } }[EventType];

/** The words for `reason` by event type, and for `condition`. Others are accepted. */
export interface Reasons {
  held:
    | "fraud" | "payment" | "chargeback" | "customs" | "address" | "stock" | "customer_request" |
    "quality" | "ok_needed" | "delivery_date" | "documents" | "recall" | "other";
  released:
    | "fraud" | "payment" | "chargeback" | "customs" | "address" | "stock" | "customer_request" |
    "quality" | "ok_needed" | "delivery_date" | "documents" | "recall" | "other";
  cancelled:
    | "customer_request" | "payment" | "fraud" | "stock" | "address" | "duplicate" | "mistake" |
    "late" | "damaged" | "undeliverable" | "other";
  refunded:
    | "cancelled" | "returned" | "lost" | "damaged" | "late" | "overpaid" | "goodwill" | "other";
  cash_counted:
    | "change" | "tip" | "rounded" | "counterfeit" | "lost" | "stolen" | "not_collected" |
    "handed_in_later" | "other";
  unpack:
    | "wrong_box" | "wrong_item" | "missing_item" | "damaged" | "inspection" | "order_changed" |
    "cancelled" | "other";
  unload:
    | "wrong_vehicle" | "no_space" | "held" | "cancelled" | "damaged" | "label" | "vehicle" |
    "other";
  customs_held:
    | "papers_missing" | "papers_wrong" | "duties_unpaid" | "value" | "recipient_id" | "inspection"
    | "licence" | "quarantine" | "prohibited" | "counterfeit" | "other";
  unassigned:
    | "replanned" | "ill" | "shift_over" | "vehicle" | "overload" | "no_contact" | "cancelled" |
    "other";
  decline:
    | "full" | "too_far" | "too_heavy" | "shift_ending" | "vehicle" | "ill" | "other";
  attempt_failed:
    | "not_home" | "no_answer" | "closed" | "no_access" | "address_not_found" | "address_incomplete"
    | "recipient_moved" | "rescheduled" | "wrong_code" | "no_id" | "payment_missing" | "locker_full"
    | "parcel_missing" | "dangerous" | "weather" | "vehicle" | "out_of_time" | "other";
  refused:
    | "not_wanted" | "not_ordered" | "damaged" | "wrong_item" | "incomplete" | "late" | "payment" |
    "duties" | "no_inspection" | "other";
  return_started:
    | "not_wanted" | "does_not_fit" | "not_as_described" | "defective" | "damaged" | "wrong_item" |
    "late" | "refused" | "undeliverable" | "attempts_used" | "unclaimed" | "cancelled" | "customs" |
    "recall" | "other";
  damaged:
    | "dropped" | "crushed" | "wet" | "leaking" | "broken" | "torn" | "opened" | "contaminated" |
    "temperature" | "bad_packing" | "machine" | "accident" | "other";
  destroyed:
    | "damaged" | "spoiled" | "contaminated" | "recall" | "customs" | "unclaimed" |
    "customer_request" | "other";
  condition:
    | "unopened" | "opened" | "used" | "damaged" | "defective" | "incomplete" | "wrong_item" |
    "other";
}

/** What each topic carries. */
export interface Topics {
  /** What happened. The PUBACK says that it is stored; the receipt says what became of it. */
  "v1/{site}/devices/{device}/events/{type}": TypedEvent["event"];
  /** Where a courier's phone is. It has no receipt unless it is refused. */
  "v1/{site}/devices/{device}/location": LocationBatch;
  /** Whether a device is connected, and what it still has to send. The desk reads it. */
  "v1/{site}/devices/{device}/presence": Presence;
  /** The answers to one device. Only that device reads them. */
  "v1/{site}/devices/{device}/receipts": Receipt | ResendRequest;
  /** A device's password, once. Only a client that redeems the device's claim reads it. */
  "v1/{site}/devices/{device}/credentials": Credentials;
  /** A courier's open jobs. That courier's phone and the desk read them. */
  "v1/{site}/couriers/{courier}/assignments/{job}": Assignment;
  /**
   * Where an order is. Systems and the desk read it, and couriers that of the orders in their open
   * jobs.
   */
  "v1/{site}/orders/{order}/status": OrderStatus;
  /** Where a parcel is. Systems and the desk read it. */
  "v1/{site}/orders/{order}/parcels/{parcel}": ParcelStatus;
  /** When an order will be delivered. A server of this edition does not publish it. */
  "v1/{site}/orders/{order}/eta": Eta;
  /** Where an order is on the road. Systems and the desk read it. */
  "v1/{site}/orders/{order}/position": Position;
  /** What the customer of an order is told, once. Systems and the desk read it. */
  "v1/{site}/orders/{order}/notices": Notice;
  /** What a person has to look at. The desk reads it. */
  "v1/{site}/alerts/{code}/{subject}": Alert;
  /** Whether the server is there, and what it takes from a client. Every device reads it. */
  "v1/{site}/bridge/state": BridgeState;
}
