/*
 * plugin.h - what the plugin's own files share: the plugin, how it logs, and how it reads its options.
 *
 * mosquitto makes one when it starts, calls it in its one thread, and ends it. Failure: what is told by plugin_log() stands in the
 * broker's log, never with a token in it.
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include "connections.h"
#include "deny.h"
#include "guard.h"
#include "keys.h"
#include "rules.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>

struct plugin {
	mosquitto_plugin_id_t *id;
	struct keys_options keys_options;
	struct token_keys keys;
	struct token_rules rules;
	char *deny_file;	  /* NULL: none */
	struct deny *deny;	  /* NULL: none */
	char *handler_client_ids; /* names separated by commas */
	bool reloading;		  /* between SIGHUP and the next tick */
	struct connections connections;
	struct guard guard;
};

/* A line in the broker's log. level: MOSQ_LOG_... What looks like a token in it is masked; a line is cut at 1,023 bytes. */
__attribute__((format(printf, 2, 3))) void plugin_log(int level, const char *format, ...);

/* plugin_log() as keys.h, rules.h and deny.h ask for it: a text of theirs, with the plugin's name before it. */
void plugin_tell(enum keys_level level, const char *text);

/*
 * Reads the options into the plugin, which is all zeros but for what guard_begin() has set; what they do not say is as README.md has it.
 * MOSQ_ERR_SUCCESS; MOSQ_ERR_INVAL after a line in the log that says which option and what was expected; MOSQ_ERR_NOMEM. What has been read by
 * then is the plugin's, which frees it.
 */
__attribute__((warn_unused_result)) int plugin_options_read(
	struct plugin *plugin, const struct mosquitto_opt *options, int option_count);

#endif
