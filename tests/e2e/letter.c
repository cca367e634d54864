/* letter.c - see letter.h. */
#include "letter.h"
#include <openssl/evp.h>
#include <string.h>

static const char *text(const json_t *document, const char *field)
{
	const char *value = json_string_value(json_object_get(document, field));
	return value ? value : "(none)";
}

static void expect_text(
	const char *file, int line, const json_t *document, const char *field, const char *expected)
{
	if (expected && strcmp(text(document, field), expected) != 0)
		harness_fail_at(file, line, "the dead letter's %s is \"%s\", expected was \"%s\"", field,
			text(document, field), expected);
}

/* Extended JSON says binary data as {"$binary": {"base64": .., "subType": ..}}. */
static void expect_payload(
	const char *file, int line, struct harness *h, const json_t *document, const struct letter *letter)
{
	const size_t size = letter->payload_size ? letter->payload_size : strlen(letter->payload);
	const json_t *binary = json_object_get(json_object_get(document, "payload"), "$binary");
	char *base64 = harness_format(h, "%*s", (int)(4 * (size / 3 + 1) + 1), "");
	EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)letter->payload, (int)size);
	if (strcmp(text(binary, "base64"), base64) != 0)
		harness_fail_at(file, line, "the dead letter's payload is %s in base64, expected was %s",
			text(binary, "base64"), base64);
	expect_text(file, line, binary, "subType", "00");
}

void letter_expect_at(
	const char *file, int line, struct harness *h, struct database *database, const struct letter *letter)
{
	const char *filter = harness_format(h, "{\"topic\": \"%s\"}", letter->topic);
	database_wait_count_at(file, line, h, database, "dead_letters", filter, 1);
	json_t *found = database_find(h, database, "dead_letters", filter);
	const json_t *document = json_array_get(found, 0);
	const char *user = harness_format(h, "%.*s", (int)strcspn(letter->topic, "/"), letter->topic);

	expect_text(file, line, document, "user_id", user);
	expect_text(file, line, document, "host", "cashewd");
	expect_text(file, line, document, "handler", letter->handler);
	if (letter->reason && !strstr(text(document, "reason"), letter->reason))
		harness_fail_at(file, line, "the dead letter's reason is \"%s\", expected was \"%s\"",
			text(document, "reason"), letter->reason);
	if (letter->payload)
		expect_payload(file, line, h, document, letter);
	if (letter->attempts != LETTER_ANY_ATTEMPTS &&
		json_integer_value(json_object_get(document, "attempts")) != letter->attempts)
		harness_fail_at(file, line, "the dead letter has %d attempts, expected were %u",
			(int)json_integer_value(json_object_get(document, "attempts")), letter->attempts);
	if (!json_object_get(json_object_get(document, "_id"), "$oid") ||
		!json_object_get(json_object_get(document, "when"), "$date"))
		harness_fail_at(file, line, "the dead letter has no id of its own, or no time");
	json_decref(found);
}

size_t letter_count(struct harness *h, struct database *database)
{
	return database_count(h, database, "dead_letters", "{}");
}
