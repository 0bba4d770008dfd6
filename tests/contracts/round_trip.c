/* Reads receipts with the code that zcbor generates from the contract, and with zcbor's own functions, and writes an event. */

#include <stdio.h>
#include <string.h>

#include "contract_decode.h"
#include "contract_encode.h"
#include "zcbor_decode.h"

static size_t read_all(const char *name, uint8_t *into, size_t room)
{
	FILE *file = fopen(name, "rb");
	size_t length = file ? fread(into, 1, room, file) : 0;

	if (file)
		fclose(file);
	return length;
}

static int write_all(const char *name, const uint8_t *bytes, size_t length)
{
	FILE *file = fopen(name, "wb");
	int failed = !file || fwrite(bytes, 1, length, file) != length;

	if (file)
		fclose(file);
	return failed;
}

/* The generated code: what was read is written again, and has to be the same bytes. */
static int copy_receipt(const char *from, const char *to)
{
	static uint8_t payload[1024], again[1024];
	static struct receipt receipt;
	size_t length = read_all(from, payload, sizeof(payload)), written = 0;

	if (cbor_decode_receipt(payload, length, &receipt, NULL))
		return 1;
	if (cbor_encode_receipt(again, sizeof(again), &receipt, &written))
		return 2;
	return write_all(to, again, written);
}

/* Field by field, as firmware has to that outlives the updates of its server: unknown fields are passed over. */
static int print_tone(const char *from)
{
	static uint8_t payload[1024];
	size_t length = read_all(from, payload, sizeof(payload));
	struct zcbor_string tone;

	ZCBOR_STATE_D(state, 2, payload, length, 1, 0);
	if (!zcbor_unordered_map_start_decode(state) || !zcbor_search_key_tstr_lit(state, "tone") || !zcbor_tstr_decode(state, &tone))
		return 3;
	zcbor_list_map_end_force_decode(state);
	printf("%.*s\n", (int)tone.len, (const char *)tone.value);
	return 0;
}

static struct zcbor_string text(const char *chars)
{
	return (struct zcbor_string){.value = (const uint8_t *)chars, .len = strlen(chars)};
}

static struct zcbor_string bytes(const char *chars, size_t length)
{
	return (struct zcbor_string){.value = (const uint8_t *)chars, .len = length};
}

/* Two red mugs, picked for an order. */
static int write_pick(const char *to)
{
	static uint8_t payload[512];
	size_t written = 0;
	struct event_pick pick = {
		.event_pick_id = bytes("\x01\xa2\x07\x75\x56\x20\x7c\xe3\xbc\x6c\x86\xe9\x91\xf7\xb4\x99", 16),
		.event_pick_log = bytes("log-of-c", 8),
		.event_pick_seq = 1,
		.event_pick_boot = bytes("boot-one", 8),
		.event_pick_mono_ms = 4260000,
		.event_pick_at_ms = 1795421460000,
		.event_pick_sent_boot = bytes("boot-one", 8),
		.event_pick_sent_mono_ms = 4260120,
		.event_pick_order_present = true,
		.event_pick_order = {.event_pick_order = text("shop1-1001")},
		.event_pick_body = {.body_pick_sku = text("MUG-RED"), .body_pick_qty = 2},
	};

	if (cbor_encode_event_pick(payload, sizeof(payload), &pick, &written))
		return 4;
	return write_all(to, payload, written);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "copy"))
		return copy_receipt(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "tone"))
		return print_tone(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "pick"))
		return write_pick(argv[2]);
	return 9;
}
