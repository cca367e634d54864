/*
 * fuzz_payload.c - a command's payload (runtime/handler/payload.c). What is accepted is JSON within the limits that means the same when it is
 * written and read again; what is refused has a reason that quotes nothing of it.
 */
#include "fuzz.h"
#include "payload.h"

enum { SIZE_MAX_OF_PAYLOAD = 128 * 1024 };

static size_t depth_of(const json_t *json)
{
	size_t deepest = 0;
	if (!json_is_object(json) && !json_is_array(json))
		return 0;
	for (size_t i = 0; i < json_array_size(json); i++) {
		const size_t depth = depth_of(json_array_get(json, i));
		deepest = depth > deepest ? depth : deepest;
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)json, key, value)
	{
		const size_t depth = depth_of(value);
		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + 1;
}

static void check_accepted(json_t *json)
{
	char reason[PAYLOAD_REASON_SIZE];
	char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	json_t *again = NULL;
	FUZZ_NEED(text);
	FUZZ_NEED(payload_parse(text, strlen(text), SIZE_MAX_OF_PAYLOAD * 8, &again, reason) == 0);
	FUZZ_NEED(json_equal(json, again));
	FUZZ_NEED(strcmp(payload_type_name(json), payload_type_name(again)) == 0);
	json_decref(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = fuzz_copy(bytes, size);
	char reason[PAYLOAD_REASON_SIZE] = "";
	json_t *json = NULL;
	const int error = payload_parse(copy, size, SIZE_MAX_OF_PAYLOAD, &json, reason);
	FUZZ_NEED(error == 0 || error == PAYLOAD_E_REFUSED);
	FUZZ_NEED((error == 0) == (json != NULL));
	if (error == 0) {
		FUZZ_NEED(depth_of(json) <= PAYLOAD_DEPTH_MAX && size > 0 && size <= SIZE_MAX_OF_PAYLOAD);
		check_accepted(json);
		json_decref(json);
		json = NULL;
		FUZZ_NEED(payload_parse(copy, size, size - 1, &json, reason) == PAYLOAD_E_REFUSED && !json);
		FUZZ_NEED(
			payload_too_large(size, size - 1, reason) && !payload_too_large(size, size, reason));
	}
	if (error != 0)
		fuzz_need_reason(reason, sizeof(reason));
	free(copy);
	return 0;
}
