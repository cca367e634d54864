/* replays.c - a dead letter becomes a command again: see replays.h. */
#include "replays.h"

#include "parked_commands.h"

/* The five bytes in the middle of an ObjectId are a random number of the process that made it. Adding a constant to it
 * gives each letter an id that nobody else makes, and that comes back to none of the ids before it when the
 * command dies and is replayed time and again. */
static struct store_id id_of_replay(const struct store_id *letter)
{
	static const unsigned char step[5] = {0x9e, 0x37, 0x79, 0xb9, 0x7f};
	struct store_id id = *letter;
	unsigned carry = 0;

	for (int i = 4; i >= 0; i--) {
		const unsigned sum = (unsigned)letter->bytes[4 + i] + step[i] + carry;

		id.bytes[4 + i] = (unsigned char)sum;
		carry = sum >> 8;
	}
	return id;
}

int replay_dead_letter(
	struct store_client *client, const struct dead_letter *letter, const char *lane, int64_t position)
{
	const struct parked_command command = {
		.id = id_of_replay(&letter->id),
		.lane = lane,
		.user = letter->user,
		.topic = letter->topic,
		.position = position,
		.payload = letter->payload,
		.payload_size = letter->payload_size,
		.correlation = letter->correlation,
		.correlation_size = letter->correlation_size,
		.response_topic = letter->response_topic,
		.end = "done",
		.replayed = true,
		.handler = "",
		.reason = "replayed",
	};
	const struct parked_command *const commands[] = {&command};
	size_t failed;
	int error = parked_commands_append(client, commands, 1, NULL, &failed);

	if (error != 0)
		return error;
	error = dead_letter_drop(client, &letter->id);
	return error == STORE_E_NOT_FOUND ? 0 : error;
}
