// Stands in for the types that are generated from the contract.
type Open<Word extends string> = Word | (string & {});
export interface Limits { packet_bytes_max: number; payload_bytes_max: number; publish_rate_max: number; window: number }
export interface BridgeState { online: boolean; version: string; started_ms: number; contract: string; epoch?: number; limits?: Limits }
export interface Receipt {
  n: number; final: boolean; outcome: string; tone: Open<'ok' | 'warn' | 'stop'>; at_ms: number; type?: string; id?: Uint8Array; digest?: Uint8Array; log?: Uint8Array;
  seq?: number; again?: boolean; quiet?: boolean; order?: string; parcel?: string; state?: string; rev?: number; reason?: string; detail?: string; next?: string;
  left?: { sku: string; qty: number; bin?: string; name?: string }[]; expected?: { order?: string; parcel?: string; sku?: string; rev?: number };
  warn?: Open<'seq_reused'>[]; epoch?: number;
}
export interface ResendRequest { resend: { log: Uint8Array; from: number; to: number }; epoch?: number }
export interface Stop { stop: string; orders: string[]; parcels: string[]; codes: string[]; handling: string[] }
export interface Assignment { job: string; rev: number; state: Open<'assigned' | 'accepted'>; stops: Stop[]; lease_until_ms?: number; epoch?: number }
export type Point = [mono_ms: number, lat_e7: number, lon_e7: number, accuracy_m: number, speed_dm_s: number | null];
export interface Bodies { claim: { job: string; rev: number }; pack: { items?: { sku: string; qty: number }[]; weight_g?: number }; [type: string]: object }
export type EventType = string;
