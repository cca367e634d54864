/*
 * settings.h - what the host is told by .env and the environment, from one table.
 *
 * Happy path: settings_read() reads ".env" in the working directory (as the npm package dotenv reads it), lays the real environment on top, checks
 * every value and fills struct settings. Failure: each problem is one line on `problems` that names file, line, key, what was found and what was
 * expected, and the nearest known name. All problems are told, not only the first.
 *
 * The table (settings_table) makes the parser, --help, --check, the table of docs/settings.md and the test of .env.example.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cashew_handler;

enum broker_transport { BROKER_TRANSPORT_TCP, BROKER_TRANSPORT_WEBSOCKET };

/* All values; texts are never NULL ("" where empty is allowed). Owned by settings_free(). */
struct settings {
	/* identity */
	const char *jwt_secret;
	const char *jwt_handler_secret; /* "": jwt_secret; see settings_handler_secret() */
	const char *handler_name;
	const char *handler_token_file;
	unsigned token_lifetime_s;
	bool allow_short_secret;
	/* broker */
	const char *broker_host; /* or several: broker_names.h */
	unsigned broker_port;
	bool broker_tls;
	unsigned broker_transport;    /* enum broker_transport */
	const char *broker_path;      /* of its WebSocket */
	const char *broker_proxy;     /* "": none; see broker_proxy.h */
	const char *broker_ca_file;   /* "": the system's certificate authorities */
	const char *broker_cert_file; /* "": no client certificate */
	const char *broker_key_file;
	const char *broker_user;
	const char *client_id;
	const char *shared_group; /* "": subscriptions are not shared */
	unsigned keepalive_s;
	unsigned session_expiry_s;
	unsigned standby_retry_s;
	/* database */
	const char *mongo_db_url;
	const char *mongo_db_name; /* "": the one that the URL names, else the store's default */
	unsigned dead_letter_days;
	/* running handlers */
	const char *handlers; /* "": all of them; else names separated by commas */
	unsigned workers;
	unsigned handler_timeout_s;
	unsigned stop_timeout_s;
	unsigned max_attempts;
	unsigned crash_limit;
	size_t host_rss_max; /* 0: no limit */
	/* acknowledging */
	unsigned window;      /* commands of a lane that may be held unacknowledged */
	unsigned user_window; /* commands of one user that may wait at once */
	size_t payload_max;
	size_t event_max;
	/* log */
	unsigned log_level;  /* enum log_level */
	unsigned log_format; /* enum log_format */
	bool log_payloads;
	const char *loggly_token; /* "": the log is not shipped */
	const char *loggly_subdomain;
	const char *loggly_tags;
	const char *loggly_url;
	const char *loggly_ca_file; /* "": the system's certificate authorities */
	const char *log_spool_dir;  /* "": no spool */
	size_t log_spool_max;
	/* watching */
	const char *metrics_addr;  /* as http_address_read() takes it */
	const char *metrics_hosts; /* as http_address_host_is_ours() takes them */
	/* all texts and the handlers' own settings, which settings_own_value() reads; NULL: nothing was read */
	struct settings_block *block;
};

enum setting_type { SETTING_TEXT, SETTING_INTEGER, SETTING_SIZE, SETTING_SWITCH, SETTING_CHOICE };

struct setting {
	const char *name; /* "BROKER_PORT" */
	enum setting_type type;
	const char *default_value; /* as it would stand in .env; NULL: must be set */
	const char *example;	   /* what .env.example holds for a setting that must be set */
	int64_t min, max;	   /* of integers; of a text: its length in bytes */
	bool zero_is_default; /* of integers: 0, which meant something once, counts as the default, with a warning */
	bool plain;	      /* of a text: only A-Z a-z 0-9 . _ | - */
	bool file; /* of a text: a file's or folder's name, which may be any bytes; other texts are UTF-8, but for secrets */
	const char *unit;	    /* "s", "ms", "bytes" or NULL */
	const char *const *choices; /* of SETTING_CHOICE, in the order of their values; ended by NULL */
	bool secret;		    /* masked wherever it is shown */
	bool url;		    /* of a text: a password may stand in it, which alone is masked */
	const char *file_name;	    /* the setting that names a file which holds this one; NULL: none */
	const char *group;	    /* heading in --help and .env.example */
	const char *help;	    /* one sentence */
	size_t offset;		    /* of the field in struct settings */
};

enum { SETTINGS_HANDLER_TIMEOUT_MAX_S = 3600 }; /* of HANDLER_TIMEOUT, and of a handler's own deadline */

extern const struct setting settings_table[];
extern const size_t settings_count;

enum settings_error { SETTINGS_E_INVALID = 1 };

/* Reads and checks everything.
 * env_file: path of .env, which may be missing. One that cannot be read, or is malformed, is a problem. NULL: no file at all, and the environment
 * is what settings_write() wrote. Otherwise one line end behind a secret, and behind a URL, is no part of it (value_text.h).
 * A secret NAME, the handlers' own ones too, may stand in a file of its own, which NAME_FILE names; it is read each time the settings are.
 * environment: environ. A setting of the file counts only where the environment has none of that name; there an empty value is a value too.
 * handlers: those built in, ended by NULL. Their own settings are known names too.
 * Where a setting is missing, and the file too, a last line says so.
 * Writes one line for each problem to `problems`, and one for each warning to `warnings`, which may be the same stream. Warned of are a .env that
 * others can read, settings of earlier versions, names in .env that are nobody's here, what is set twice, and values that nobody types on purpose.
 * What spans settings is checked as well: a secret or a token file is there; the secret is never empty, and has 32 bytes unless
 * ALLOW_SHORT_SECRET=on; a certificate has its key; names in HANDLERS exist; files that are named can be opened.
 * 0 and *ret filled; SETTINGS_E_INVALID; -ENOMEM. */
__attribute__((warn_unused_result)) int settings_read(const char *env_file, char *const *environment,
	const struct cashew_handler *const *handlers, FILE *problems, FILE *warnings, struct settings *ret);

/* The same for a program that needs only the settings of those names, ended by NULL. The others have their defaults ("" where there is none),
 * whatever .env and the environment say. What spans settings is not checked. */
__attribute__((warn_unused_result)) int settings_read_some(const char *env_file, char *const *environment,
	const char *const *names, FILE *problems, FILE *warnings, struct settings *ret);

/*
 * For a program that looks for its secrets by itself: reads one out of the file at path, which a setting of that name ("JWT_SECRET_FILE") names.
 * 0 with *ret_size bytes of *ret, which small_file_free() frees, and which may hold a line end behind them; SETTINGS_E_INVALID after one line on
 * `problems`; -ENOMEM.
 */
__attribute__((warn_unused_result)) int settings_secret_file(
	const char *path, const char *name, FILE *problems, FILE *warnings, char **ret, size_t *ret_size);

/* Overwrites the texts (they hold secrets) and frees them. */
void settings_free(struct settings *settings);

/* The value of a handler's own setting. NULL: no handler declared that name. "": it must be set, but belongs to handlers that do not run here. */
const char *settings_own_value(const struct settings *settings, const char *name);

/*
 * Calls `visit` with each secret among the settings, until a call does not return 0; returns what the last one did, or -ENOMEM. Those are the settings that
 * are secret, the handlers' own ones too; in MONGO_DB_URL the password and the options that hold one, percent-encoded as they stand there; and in
 * BROKER_PROXY the password, and what user and password are to the proxy in base64.
 */
__attribute__((warn_unused_result)) int settings_secrets(
	const struct settings *settings, int (*visit)(const char *secret));

/* The same for the names and passwords in the variables of an environment whose names end in _proxy, as https_proxy, but for BROKER_PROXY, which is a
 * setting; it is, ended by NULL. */
__attribute__((warn_unused_result)) int settings_proxy_secrets(
	char *const *environment, int (*visit)(const char *secret));

/* Whether that is a variable by which libcurl is told of a proxy: http_proxy, https_proxy, all_proxy, no_proxy, in any case. */
bool settings_is_proxy(const char *name);

/* One "NAME=value" line per setting, secrets masked, a password inside a URL too, for --check. */
void settings_print(const struct settings *settings, FILE *out);

/* Every setting as "NAME=value" and a NUL, secrets as they are. Another process reads this as its environment, by settings_read() without a file. */
void settings_write(const struct settings *settings, FILE *out);

/* What --help settings says, wrapped to 80 columns; the Markdown table of them in docs/settings.md; .env.example. */
void settings_help(FILE *out);
void settings_markdown(FILE *out);
void settings_example(FILE *out);

/* Whether the list, names separated by commas and blanks (HANDLERS), holds the name. */
bool settings_list_holds(const char *list, const char *name);

/* The secret that signs this host's token, JWT_HANDLER_SECRET or else JWT_SECRET, and the name of that setting. */
const char *settings_handler_secret(const struct settings *settings, const char **ret_name);

#endif
