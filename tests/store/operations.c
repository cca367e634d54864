/* operations.c - see operations.h. */
#include "operations.h"

#include "contact_documents.h"

#include "dead_letters.h"
#include "hosts.h"
#include "parked_commands.h"
#include "store.h"
#include <stdlib.h>

static bool see_contact(const struct store_contact *item, void *context)
{
	(void)item;
	(void)context;
	return true;
}

static bool see_apple(const char *colour, void *context)
{
	(void)colour;
	(void)context;
	return true;
}

const char *const operation_names[OPERATIONS] = {"store_ping", "store_prepare", "contact_request_add",
	"contact_request_list", "contact_add", "contact_remove", "apple_list", "dead_letter_add",
	"parked_commands_append", "parked_commands_claim", "parked_commands_finish",
	"parked_commands_backlogs", "parked_commands_due", "host_lease_hold"};

static void see_backlog(void *context, const char *user, int64_t due_in_ms)
{
	(void)context;
	(void)user;
	(void)due_in_ms;
}

static int append(struct store_client *client, const struct parked_command *command)
{
	const struct parked_command *const commands[] = {command};
	size_t failed;

	return parked_commands_append(client, commands, 1, NULL, &failed);
}

static int claim(struct store_client *client, const struct backlog_lease *lease)
{
	struct parked_batch batch;
	const int error = parked_commands_claim(client, "cashewd", "1", lease, 0, 0, &batch);

	parked_batch_free(&batch);
	return error == PARKED_E_NONE ? 0 : error;
}

static int due(struct store_client *client)
{
	struct parked_user *users;
	size_t count;
	const int error = parked_commands_due(client, NULL, 0, 0, 10, &users, &count);

	if (error == 0)
		parked_users_free(users, count);
	return error;
}

int operate(struct store_client *client, enum operation operation)
{
	struct dead_letter letter = {.id = store_new_id(),
		.topic = "1/x",
		.user = "1",
		.handler = "x",
		.reason = "r",
		.host = "h"};
	const struct parked_command command = {.id = store_new_id(),
		.lane = "cashewd",
		.user = "1",
		.topic = "1/x",
		.end = "done",
		.position = 1};
	const struct backlog_lease lease = {"owner", 20000};
	struct host_lease host;
	int64_t last;

	switch (operation) {
	case PING: return store_ping(client);
	case PREPARE: return store_prepare(client);
	case REQUEST_ADD: return contact_request_add(client, "1", "2");
	case REQUEST_LIST: return contact_request_list(client, "2", NULL, 10, see_contact, NULL);
	case CONTACT_ADD: return contact_add(client, "1", "2");
	case CONTACT_REMOVE: return contact_remove(client, "3", "4");
	case APPLES: return apple_list(client, 10, see_apple, NULL);
	case DEAD_LETTER: return dead_letter_add(client, &letter);
	case APPEND: return append(client, &command);
	case CLAIM: return claim(client, &lease);
	case FINISH:
		return parked_commands_finish(
			client, &(struct parked_finish){.user = "1", .done = &command.id, .count = 1}, 1);
	case BACKLOGS: return parked_commands_backlogs(client, "cashewd", "owner", see_backlog, NULL, &last);
	case DUE: return due(client);
	case LEASE: return host_lease_hold(client, "cashewd", "owner", 10000, &host);
	case OPERATIONS: break;
	}
	abort();
}
