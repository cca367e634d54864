/* tool_store.c - see tool_store.h. */
#include "tool_store.h"

#include "exit_codes.h"
#include "log_secret.h"
#include "output.h"
#include "settings_file.h"

#include <stdio.h>
#include <unistd.h>

int tool_store_settings(
	struct tool_store *tool, const char *env_file, bool must_exist, const char *const *names)
{
	if (must_exist && !settings_file_exists(env_file, stderr))
		return EXIT_CONFIG;
	const int error = settings_read_some(env_file, environ, names, stderr, stderr, &tool->settings);
	if (error == SETTINGS_E_INVALID)
		return EXIT_CONFIG;
	/* What the database and its driver say may hold them. */
	if (error != 0 || settings_secrets(&tool->settings, log_secret_add) != 0)
		return output_no_memory("cashewd");
	return 0;
}

int tool_store_open(struct tool_store *tool, const char *app_name)
{
	char message[STORE_MESSAGE_SIZE];
	const int error = store_open(&(struct store_options){.url = tool->settings.mongo_db_url,
					     .database = tool->settings.mongo_db_name,
					     .app_name = app_name,
					     .pool_size = 1},
		&tool->store, message);
	if (error == 0) {
		tool->client = store_acquire(tool->store);
		return 0;
	}
	log_secret_hide(message);
	fprintf(stderr, "cashewd: %s\n", message);
	return error == STORE_E_AWAY ? EXIT_UNAVAILABLE : EXIT_CONFIG;
}

int tool_store_failed(const struct tool_store *tool)
{
	char message[STORE_MESSAGE_SIZE];
	snprintf(message, sizeof(message), "%s", store_last_error(tool->client));
	log_secret_hide(message);
	fprintf(stderr, "cashewd: the database cannot be used: %s\n", message);
	return EXIT_UNAVAILABLE;
}

void tool_store_close(struct tool_store *tool)
{
	if (tool->client)
		store_release(tool->client);
	store_close(tool->store);
	settings_free(&tool->settings);
}
