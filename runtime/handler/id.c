/*
 * id.c - see id.h.
 *
 * Correlation Data is any bytes: what is a text of visible ASCII characters (a UUID, a ULID) is the id as it stands, all else is the beginning of its
 * SHA-256 in hexadecimal digits.
 */
#include "id.h"

#include "call.h"
#include "ends.h"
#include "payload.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { DIGEST_KEPT = 16 };

static const char *hexadecimal(cashew_command *cmd, const unsigned char *bytes, size_t size)
{
	char *text = arena_alloc(&cmd->scratch, size * 2 + 1);
	for (size_t i = 0; text && i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static bool is_visible(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] < 0x21 || bytes[i] > 0x7e)
			return false;
	return true;
}

/* NULL: it has none, or the run has failed. */
static const char *of_payload(cashew_command *cmd)
{
	static const char expected[] = "a text of 1 to 64 bytes, another one for each command";
	const json_t *value = json_object_get(cmd->json, "command_id");
	if (!value || json_is_null(value))
		return NULL;
	const char *text = json_string_value(value);
	const size_t size = json_string_length(value);
	if (!text)
		(void)ends_as(cmd, CASHEW_REJECT, "command_id is %s: expected %s", payload_type_name(value),
			expected);
	else if (size == 0)
		(void)ends_as(cmd, CASHEW_REJECT, "command_id is empty: expected %s", expected);
	else if (size > ID_MAX)
		(void)ends_as(
			cmd, CASHEW_REJECT, "command_id is %zu bytes long: expected %s", size, expected);
	else if (strlen(text) != size)
		(void)ends_as(cmd, CASHEW_REJECT, "command_id has a NUL in it: expected %s", expected);
	else
		return text;
	return NULL;
}

static const char *of_correlation(cashew_command *cmd)
{
	const struct call_input *input = cmd->input;
	if (!input->correlation || input->correlation_size < ID_CORRELATION_MIN)
		return NULL;
	if (input->correlation_size <= ID_MAX && is_visible(input->correlation, input->correlation_size))
		return arena_copy(&cmd->scratch, input->correlation, input->correlation_size);
	unsigned char digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(input->correlation, input->correlation_size, digest, NULL, EVP_sha256(), NULL) != 1) {
		(void)ends_out_of_memory(cmd);
		return NULL;
	}
	return hexadecimal(cmd, digest, DIGEST_KEPT);
}

static const char *given(cashew_command *cmd)
{
	if (cmd->input->id)
		return cmd->input->id;
	const char *id = of_payload(cmd);
	return id || ends_failed(cmd) ? id : of_correlation(cmd);
}

bool id_is_given(cashew_command *cmd)
{
	const char *id = given(cmd);
	if (id)
		cmd->id = id;
	return id;
}

const char *id_of(cashew_command *cmd)
{
	if (cmd->id)
		return cmd->id;
	const char *id = ends_failed(cmd) ? NULL : given(cmd);
	if (!id && !ends_failed(cmd))
		id = hexadecimal(cmd, cmd->input->made_id, sizeof(cmd->input->made_id));
	cmd->id = id;
	return id ? id : "";
}
