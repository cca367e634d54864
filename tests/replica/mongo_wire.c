/* mongo_wire.c - see mongo_wire.h. */
#include "mongo_wire.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADER_SIZE = 16, MESSAGE_MAX = 48 << 20 };
enum { OP_REPLY = 1, OP_QUERY = 2004, OP_MSG = 2013 };
enum { CHECKSUM_PRESENT = 1, MORE_TO_COME = 2, EXHAUST_ALLOWED = 1 << 16 };
enum { SECTION_BODY = 0, SECTION_SEQUENCE = 1 };

static int32_t number_at(const char *bytes)
{
	int32_t number;
	memcpy(&number, bytes, sizeof(number));
	return (int32_t)le32toh((uint32_t)number);
}

static void put_number(char *bytes, int32_t number)
{
	const uint32_t little = htole32((uint32_t)number);
	memcpy(bytes, &little, sizeof(little));
}

/* ---- Reading and writing ---- */

static bool read_all(int fd, char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t now = recv(fd, bytes + done, size - done, 0);
		if (now <= 0)
			return false;
		done += (size_t)now;
	}
	return true;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t now = send(fd, bytes + done, size - done, MSG_NOSIGNAL);
		if (now <= 0)
			return false;
		done += (size_t)now;
	}
	return true;
}

static char *allocate(size_t size)
{
	char *bytes = calloc(1, size);
	if (!bytes)
		abort();
	return bytes;
}

bool mongo_wire_read(int fd, struct mongo_message *ret)
{
	char header[HEADER_SIZE];
	if (!read_all(fd, header, sizeof(header)))
		return false;
	const int32_t size = number_at(header);
	if (size < HEADER_SIZE || size > MESSAGE_MAX)
		return false;
	char *bytes = allocate((size_t)size);
	memcpy(bytes, header, sizeof(header));
	if (!read_all(fd, bytes + HEADER_SIZE, (size_t)size - HEADER_SIZE)) {
		free(bytes);
		return false;
	}
	*ret = (struct mongo_message){.size = size,
		.request = number_at(header + 4),
		.answers = number_at(header + 8),
		.operation = number_at(header + 12),
		.bytes = bytes};
	return true;
}

void mongo_wire_free(struct mongo_message *message)
{
	free(message->bytes);
	message->bytes = NULL;
}

bool mongo_wire_write(int fd, const struct mongo_message *message)
{
	return write_all(fd, message->bytes, (size_t)message->size);
}

/* ---- What it says ---- */

static int32_t flags_of(const struct mongo_message *message)
{
	return message->operation == OP_MSG && message->size >= HEADER_SIZE + 4
		       ? number_at(message->bytes + HEADER_SIZE)
		       : 0;
}

bool mongo_wire_awaits_answer(const struct mongo_message *message)
{
	return !(flags_of(message) & MORE_TO_COME);
}

bool mongo_wire_takes_more(const struct mongo_message *message)
{
	return flags_of(message) & EXHAUST_ALLOWED;
}

/* What is left of a message. */
struct rest {
	const char *at;
	size_t size;
};

/* A document, and what is behind it. */
static bool take_document(struct rest *rest, bson_t *ret_document)
{
	if (rest->size < 5 || number_at(rest->at) < 5 || (size_t)number_at(rest->at) > rest->size)
		return false;
	const size_t size = (size_t)number_at(rest->at);
	if (!bson_init_static(ret_document, (const uint8_t *)rest->at, size))
		return false;
	rest->at += size;
	rest->size -= size;
	return true;
}

/* {updates: [..]}: the size, the array's name, one document after the other. */
static bool append_sequence(struct rest *rest, bson_t *command)
{
	if (rest->size < 4 || number_at(rest->at) < 5 || (size_t)number_at(rest->at) > rest->size)
		return false;
	struct rest of = {.at = rest->at + 4, .size = (size_t)number_at(rest->at) - 4};
	rest->at += of.size + 4;
	rest->size -= of.size + 4;
	const size_t name = strnlen(of.at, of.size);
	if (name == of.size)
		return false;
	const char *array = of.at;
	of.at += name + 1;
	of.size -= name + 1;
	bson_t items, item;
	bool whole = true;
	bson_append_array_begin(command, array, (int)name, &items);
	for (uint32_t i = 0; whole && of.size > 0; i++) {
		char buffer[16];
		const char *key;
		const size_t length = bson_uint32_to_string(i, &key, buffer, sizeof(buffer));
		whole = take_document(&of, &item);
		if (whole)
			bson_append_document(&items, key, (int)length, &item);
	}
	bson_append_array_end(command, &items);
	return whole;
}

static bool take_section(struct rest *rest, bson_t *command)
{
	const char kind = *rest->at++;
	rest->size--;
	if (kind == SECTION_SEQUENCE)
		return append_sequence(rest, command);
	bson_t body;
	return kind == SECTION_BODY && take_document(rest, &body) && bson_concat(command, &body);
}

bool mongo_wire_command(const struct mongo_message *message, bson_t *ret_command)
{
	struct rest rest = {.at = message->bytes + HEADER_SIZE, .size = (size_t)message->size - HEADER_SIZE};
	bson_t document;
	size_t before = 4; /* the flags */
	if (message->operation == OP_QUERY && rest.size > before)
		before += strnlen(rest.at + before, rest.size - before) + 1 +
			  8; /* the collection's name, and which documents */
	if ((message->operation != OP_QUERY && message->operation != OP_MSG) || before > rest.size)
		return false;
	if (flags_of(message) & CHECKSUM_PRESENT)
		rest.size -= 4;
	rest.at += before;
	rest.size -= before;
	bson_init(ret_command);
	bool whole = message->operation == OP_MSG ||
		     (take_document(&rest, &document) && bson_concat(ret_command, &document));
	while (whole && message->operation == OP_MSG && rest.size > 0)
		whole = take_section(&rest, ret_command);
	if (!whole)
		bson_destroy(ret_command);
	return whole;
}

/* ---- Answers ---- */

bool mongo_wire_answer(int fd, struct mongo_message *asked, const bson_t *reply, enum mongo_wire_how how)
{
	static _Atomic int32_t requests = 1;
	/* Its length as it is sent: AddressSanitizer's stacks have not the alignment of a bson_t, which UBSan looks at with each member. */
	const char *document = (const char *)bson_get_data(reply);
	const size_t length = (size_t)number_at(document);
	/* OP_REPLY: flags, cursor, the first document's number, how many; OP_MSG: flags, the section's kind */
	const bool old = asked->operation == OP_QUERY;
	const size_t before = old ? 20 : 5, size = HEADER_SIZE + before + length;
	const int32_t request = requests++;
	char *bytes = allocate(size);
	put_number(bytes, (int32_t)size);
	put_number(bytes + 4, request);
	put_number(bytes + 8, asked->request);
	put_number(bytes + 12, old ? OP_REPLY : OP_MSG);
	if (old)
		put_number(bytes + HEADER_SIZE + 16, 1);
	else if (how == MONGO_WIRE_MORE)
		put_number(bytes + HEADER_SIZE, MORE_TO_COME);
	memcpy(bytes + HEADER_SIZE + before, document, length);
	const bool sent = write_all(fd, bytes, how == MONGO_WIRE_HALF ? size / 2 : size);
	free(bytes);
	if (how == MONGO_WIRE_MORE)
		asked->request = request;
	return sent;
}
