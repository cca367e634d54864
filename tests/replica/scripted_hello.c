/* scripted_hello.c - see scripted_hello.h. */
#include "scripted_hello.h"

#include <stdio.h>
#include <time.h>

enum { WIRE_VERSION = 17 };

/* Later numbers make greater ids. */
static void append_oid(bson_t *document, const char *name, uint64_t number)
{
	uint8_t bytes[12] = {0};
	bson_oid_t oid;
	for (size_t i = 0; i < sizeof(number); i++)
		bytes[11 - i] = (uint8_t)(number >> (8 * i));
	bson_oid_init_from_data(&oid, bytes);
	bson_append_oid(document, name, -1, &oid);
}

static void append_set(const struct scripted_hello *hello, bson_t *reply)
{
	bson_t hosts;
	BSON_APPEND_BOOL(reply, "secondary", hello->secondary);
	BSON_APPEND_UTF8(reply, "setName", hello->set_name);
	BSON_APPEND_INT32(reply, "setVersion", 1);
	BSON_APPEND_UTF8(reply, "me", hello->me);
	BSON_APPEND_ARRAY_BEGIN(reply, "hosts", &hosts);
	for (size_t i = 0; hello->hosts[i]; i++) {
		char key[24];
		snprintf(key, sizeof(key), "%zu", i);
		BSON_APPEND_UTF8(&hosts, key, hello->hosts[i]);
	}
	bson_append_array_end(reply, &hosts);
	if (hello->primary)
		BSON_APPEND_UTF8(reply, "primary", hello->primary);
	if (!hello->secondary)
		append_oid(reply, "electionId", hello->term);
}

void scripted_hello_append_version(const struct scripted_hello *hello, bson_t *reply)
{
	bson_t version;
	BSON_APPEND_DOCUMENT_BEGIN(reply, "topologyVersion", &version);
	append_oid(&version, "processId", hello->process);
	BSON_APPEND_INT64(&version, "counter", hello->counter);
	bson_append_document_end(reply, &version);
}

void scripted_hello_append(const struct scripted_hello *hello, bson_t *reply)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	BSON_APPEND_BOOL(reply, "helloOk", true);
	BSON_APPEND_BOOL(reply, "ismaster", !hello->secondary);
	BSON_APPEND_BOOL(reply, "isWritablePrimary", !hello->secondary);
	if (hello->set_name)
		append_set(hello, reply);
	if (hello->router)
		BSON_APPEND_UTF8(reply, "msg", "isdbgrid");
	if (hello->set_name || hello->router) {
		scripted_hello_append_version(hello, reply);
		/* without it the driver uses no sessions, and so repeats no writes */
		BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", 30);
	}
	BSON_APPEND_INT32(reply, "maxBsonObjectSize", 16 << 20);
	BSON_APPEND_INT32(reply, "maxMessageSizeBytes", 48000000);
	BSON_APPEND_INT32(reply, "maxWriteBatchSize", 100000);
	BSON_APPEND_DATE_TIME(reply, "localTime", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	BSON_APPEND_INT32(reply, "minWireVersion", 0);
	BSON_APPEND_INT32(reply, "maxWireVersion", WIRE_VERSION);
	BSON_APPEND_INT32(reply, "ok", 1);
}
