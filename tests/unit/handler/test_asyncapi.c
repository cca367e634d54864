/* test_asyncapi.c - asyncapi.c: the document of a few handlers. That such a document is valid is tests/asyncapi/'s to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "asyncapi.h"
#include "cashew.h"
#include "failing_malloc.h"
#include <errno.h>

CASHEW_COLLECTION(
	dish, "dishes", (user, user_id, .key = true), (integer, total), (time, last_at, .optional = true));
CASHEW_PAGE(dish_list, dish);
CASHEW_STRUCT(wash, (integer, count, .min = 1, .max = 100, .help = "How many."),
	(text, note, .max = 30, .optional = true));
CASHEW_STRUCT(washed, (integer, total, .min = 0), (bytes, picture));
CASHEW_ANY_EVENT(loose, "Anything.");

static const struct cashew_handler
	washing = {.name = "wash_dishes",
		.topic = "+/wash_dishes",
		.payload = CASHEW_PAYLOAD(wash),
		.needs_id = true,
		.events = CASHEW_EVENTS(washed, loose)},
	listing = {.name = "list", .topic = "+/list/+/#", .events = CASHEW_EVENTS(dish_list, washed)},
	of_bytes = {.name = "of_bytes", .topic = "+/of_bytes", .payload = CASHEW_BYTES},
	hourly = {.name = "hourly", .scheduled = true, .every_s = 3600, .events = CASHEW_EVENTS(washed)};
static const struct cashew_handler *const handlers[] = {&washing, &listing, &of_bytes, &hourly, NULL};

static char *document(void)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	assert_non_null(file);
	assert_int_equal(asyncapi_write(handlers, "1.2.3", file), 0);
	fclose(file);
	return text;
}

/* A part of the document: keys with dots between them, where a channel's own dot is written as a colon. */
static const json_t *part_of(const json_t *json, const char *path)
{
	char copy[200];
	snprintf(copy, sizeof(copy), "%s", path);
	char *rest = copy;
	for (char *key; json && (key = strsep(&rest, "."));) {
		for (char *c = key; *c; c++)
			*c = *c == ':' ? '.' : *c;
		json = json_object_get(json, key);
	}
	return json;
}

static void test_parts(void **state)
{
	(void)state;
	static const struct {
		const char *path, *expected; /* NULL: it is not there */
	} cases[] = {
		{"asyncapi", "\"3.0.0\""},
		{"info.version", "\"1.2.3\""},
		{"channels.command:wash_dishes.address", "\"{user}/wash_dishes\""},
		{"channels.command:list.address", "\"{user}/list/{level}/{rest}\""},
		{"channels.command:list.parameters.rest.description", "\"The rest of the topic.\""},
		{"channels.command:wash_dishes.parameters.rest", NULL},
		{"channels.command:hourly", NULL},
		{"channels.event:washed.address", "\"{user}/washed\""},
		{"operations.command:wash_dishes",
			"{\"action\":\"receive\",\"channel\":{\"$ref\":\"#/channels/command.wash_dishes\"},\"messages\":[{\"$ref\":"
			"\"#/channels/command.wash_dishes/messages/wash_dishes\"}]}"},
		{"operations.event:washed.action", "\"send\""},
		{"operations.event:command_rejected.action", "\"send\""},
		{"operations.event:command_failed.action", "\"send\""},
		{"components.messages.command:wash_dishes.payload.properties.count",
			"{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":100,\"description\":\"How many.\"}"},
		{"components.messages.command:wash_dishes.payload.properties.note",
			"{\"type\":\"string\",\"minLength\":1,\"maxLength\":30}"},
		{"components.messages.command:wash_dishes.payload.required", "[\"count\"]"},
		{"components.messages.command:wash_dishes.payload.properties.command_id.maxLength", "64"},
		{"components.messages.command:of_bytes.contentType", "\"application/octet-stream\""},
		{"components.messages.event:washed.payload.properties.total",
			"{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":0}"},
		{"components.messages.event:washed.payload.properties.picture.contentEncoding", "\"base64\""},
		{"components.messages.event:washed.payload.required", "[\"total\",\"picture\"]"},
		{"components.messages.event:loose",
			"{\"name\":\"loose\",\"summary\":\"Anything.\",\"payload\":{}}"},
		{"components.messages.event:dish_list.payload.properties.next.type", "[\"string\",\"null\"]"},
		{"components.messages.event:dish_list.payload.properties.dishes.items.required",
			"[\"total\"]"},
	};
	char *text = document();
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const json_t *part = part_of(json, cases[i].path);
		char *found = part ? json_dumps(part, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		if (!found != !cases[i].expected || (found && strcmp(found, cases[i].expected) != 0))
			fail_msg("%s: %s", cases[i].path, found ? found : "(missing)");
		free(found);
	}
	json_decref(json);
	free(text);
}

/* Each allocation of jansson's fails in turn: half a document is not written. */
static void test_out_of_memory(void **state)
{
	(void)state;
	bool failed = true;
	size_t n = 1;
	for (; failed && n < 5000; n++) {
		char *text = NULL;
		size_t size;
		FILE *file = open_memstream(&text, &size);
		failing_malloc_start(n, true);
		const int error = asyncapi_write(handlers, "1", file);
		failed = failing_malloc_stop();
		fclose(file);
		assert_int_equal(error, failed ? -ENOMEM : 0);
		free(text);
	}
	assert_false(failed);
	assert_true(n > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts), cmocka_unit_test(test_out_of_memory)};
	return cmocka_run_group_tests_name("asyncapi", tests, NULL, NULL);
}
