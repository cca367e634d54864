/*
 * settings_table.c - the settings, each once: its name, type, default, range, unit, and one sentence for who
 * deploys the host.
 *
 * Nothing here can fail. The order is that of --help and .env.example; settings of a group stand together.
 */
#include "settings.h"

#include "settings_private.h"

#define FIELD(field) .offset = offsetof(struct settings, field)

#define IDENTITY      "Identity"
#define BROKER	      "Broker"
#define DATABASE      "Database"
#define RUNNING	      "Running handlers"
#define ACKNOWLEDGING "Acknowledging"
#define LOG	      "Log"
#define WATCHING      "Watching"

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};

enum {
	PATH_BYTES = 4095,
	FRAME_BYTES = 268435455, /* the largest MQTT packet */
	LETTER_BYTES = 15 * 1024 *
		       1024, /* fits into a MongoDB document (16 MiB) with a dead letter's other fields */
};

const struct setting settings_table[] = {
	{.name = "JWT_SECRET",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = 4096,
		.secret = true,
		.group = IDENTITY,
		FIELD(jwt_secret),
		.help = "Secret that signs this host's token for the broker (HS256), 32 bytes or more; make "
			"one with: "
			"openssl rand -base64 48. Needed unless HANDLER_TOKEN_FILE is set."},
	{.name = "HANDLER_NAME",
		.type = SETTING_TEXT,
		.default_value = "cashewd",
		.min = 1,
		.max = 64,
		.plain = true,
		.group = IDENTITY,
		FIELD(handler_name),
		.help = "Name of this host inside its token: {handler: {name}}."},
	{.name = "HANDLER_TOKEN_FILE",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = PATH_BYTES,
		.group = IDENTITY,
		FIELD(handler_token_file),
		.help = "File with a ready-made handler token, read at each connect and used instead of one "
			"signed with "
			"JWT_SECRET."},
	{.name = "TOKEN_LIFETIME",
		.type = SETTING_INTEGER,
		.default_value = "3600",
		.min = 60,
		.max = 31536000,
		.unit = "s",
		.group = IDENTITY,
		FIELD(token_lifetime_s),
		.help = "How long a token that this host signs is valid; a fresh one is signed at each "
			"connect."},
	{.name = "ALLOW_SHORT_SECRET",
		.type = SETTING_SWITCH,
		.default_value = "off",
		.group = IDENTITY,
		FIELD(allow_short_secret),
		.help = "Accept a JWT_SECRET of less than 32 bytes, which can be guessed: for trials only."},

	{.name = "BROKER_HOST",
		.type = SETTING_TEXT,
		.example = "mqtt.example.com",
		.min = 1,
		.max = 255,
		.group = BROKER,
		FIELD(broker_host),
		.help = "Host name or address of the MQTT broker; under TLS its certificate must be for this "
			"name."},
	{.name = "BROKER_PORT",
		.type = SETTING_INTEGER,
		.default_value = "8883",
		.min = 1,
		.max = 65535,
		.group = BROKER,
		FIELD(broker_port),
		.help = "Port of the MQTT broker; without TLS brokers usually listen on 1883."},
	{.name = "BROKER_TLS",
		.type = SETTING_SWITCH,
		.default_value = "on",
		.group = BROKER,
		FIELD(broker_tls),
		.help = "Encrypt the connection and verify the broker's certificate; off sends tokens and "
			"commands in "
			"clear text."},
	{.name = "BROKER_CA_FILE",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = PATH_BYTES,
		.group = BROKER,
		FIELD(broker_ca_file),
		.help = "PEM file with the certificate authorities that may vouch for the broker; empty: "
			"those of the "
			"system."},
	{.name = "BROKER_CERT_FILE",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = PATH_BYTES,
		.group = BROKER,
		FIELD(broker_cert_file),
		.help = "PEM file with this host's own certificate, for a broker that asks for one."},
	{.name = "BROKER_KEY_FILE",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = PATH_BYTES,
		.group = BROKER,
		FIELD(broker_key_file),
		.help = "PEM file with the private key of BROKER_CERT_FILE, without a pass phrase."},
	{.name = "CLIENT_ID",
		.type = SETTING_TEXT,
		.default_value = "cashewd",
		.min = 1,
		.max = 64,
		.plain = true,
		.group = BROKER,
		FIELD(client_id),
		.help = "MQTT client id, which names the session that the broker keeps commands in: keep it "
			"the same "
			"over restarts; hosts with different HANDLERS need different ones."},
	{.name = "KEEPALIVE",
		.type = SETTING_INTEGER,
		.default_value = "60",
		.min = 10,
		.max = 65535,
		.unit = "s",
		.group = BROKER,
		FIELD(keepalive_s),
		.help = "MQTT keep alive: the host pings the broker when it has sent nothing for half of that time."},
	{.name = "SESSION_EXPIRY",
		.type = SETTING_INTEGER,
		.default_value = "604800",
		.min = 60,
		.max = 4294967294,
		.unit = "s",
		.group = BROKER,
		FIELD(session_expiry_s),
		.help = "How long the broker keeps commands for this host while it is away (MQTT 5)."},
	{.name = "STANDBY_RETRY",
		.type = SETTING_INTEGER,
		.default_value = "30",
		.min = 1,
		.max = 3600,
		.unit = "s",
		.group = BROKER,
		FIELD(standby_retry_s),
		.help = "After another host took over the same CLIENT_ID: wait that long between attempts to "
			"take it "
			"back."},

	{.name = "MONGO_DB_URL",
		.type = SETTING_TEXT,
		.example = "mongodb://127.0.0.1:27017",
		.min = 1,
		.max = 8192,
		.group = DATABASE,
		FIELD(mongo_db_url),
		.help = "Connection string of MongoDB, mongodb:// or mongodb+srv://; what it leaves open is "
			"set to "
			"w=majority, journal=true and time-outs of seconds."},
	{.name = "MONGO_DB_NAME",
		.type = SETTING_TEXT,
		.default_value = "cashew",
		.min = 1,
		.max = 63,
		.group = DATABASE,
		FIELD(mongo_db_name),
		.help = "Name of the database that holds the handlers' collections and dead_letters."},
	{.name = "DEAD_LETTER_DAYS",
		.type = SETTING_INTEGER,
		.default_value = "90",
		.min = 1,
		.max = 3650,
		.unit = "days",
		.group = DATABASE,
		FIELD(dead_letter_days),
		.help = "Time after which the database removes a dead letter; counts for new ones."},

	{.name = "HANDLERS",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = 16384,
		.group = RUNNING,
		FIELD(handlers),
		.help = "Handlers to run, names separated by commas; empty: all that are built in (see "
			"--list-handlers)."},
	{.name = "WORKERS",
		.type = SETTING_INTEGER,
		.default_value = "8",
		.min = 1,
		.max = 512,
		.group = RUNNING,
		FIELD(workers),
		.help = "Threads that run handlers, and database connections at most: raise it when handlers "
			"wait long "
			"for others."},
	{.name = "HANDLER_TIMEOUT",
		.type = SETTING_INTEGER,
		.default_value = "10",
		.min = 1,
		.max = SETTINGS_HANDLER_TIMEOUT_MAX_S,
		.unit = "s",
		.group = RUNNING,
		FIELD(handler_timeout_s),
		.help = "A handler that runs longer counts as hung: the host is killed and started again, and the command is run again later."},
	{.name = "STOP_TIMEOUT",
		.type = SETTING_INTEGER,
		.default_value = "12",
		.min = 12,
		.max = 3600,
		.unit = "s",
		.group = RUNNING,
		FIELD(stop_timeout_s),
		.help = "After SIGTERM: time for running handlers to end; what has not ended is left to the "
			"broker and "
			"comes again."},

	{.name = "MAX_ATTEMPTS",
		.type = SETTING_INTEGER,
		.default_value = "10",
		.min = 1,
		.max = 1000,
		.group = RUNNING,
		FIELD(max_attempts),
		.help = "How often a command that fails for now is tried, its first second counting once, "
			"before "
			"it becomes a dead letter; the pauses double from 1 s to 5 min."},
	{.name = "CRASH_LIMIT",
		.type = SETTING_INTEGER,
		.default_value = "3",
		.min = 1,
		.max = 100,
		.group = RUNNING,
		FIELD(crash_limit),
		.help = "A command that has killed the host so often becomes a dead letter and is not run "
			"again."},
	{.name = "HOST_RSS_MAX",
		.type = SETTING_SIZE,
		.default_value = "128M",
		.max = INT64_C(1) << 40,
		.unit = "bytes",
		.group = RUNNING,
		FIELD(host_rss_max),
		.help = "When the host's resident memory stays above that, it is drained and replaced by a "
			"fresh one; 0: never."},

	{.name = "WINDOW",
		.type = SETTING_INTEGER,
		.default_value = "8000",
		.min = 20,
		.max = 65535,
		.zero_is_default = true,
		.group = ACKNOWLEDGING,
		FIELD(window),
		.help = "Commands of a lane that may be held unacknowledged: so many the broker may send ahead (MQTT 5 Receive Maximum), and then the host stops "
			"reading."},
	{.name = "USER_WINDOW",
		.type = SETTING_INTEGER,
		.default_value = "500",
		.min = 1,
		.max = 65535,
		.group = ACKNOWLEDGING,
		FIELD(user_window),
		.help = "Commands of one user that may wait at once, so that one user cannot fill the "
			"window."},
	{.name = "PAYLOAD_MAX",
		.type = SETTING_SIZE,
		.default_value = "131072",
		.min = 16,
		.max = LETTER_BYTES,
		.unit = "bytes",
		.group = ACKNOWLEDGING,
		FIELD(payload_max),
		.help = "Commands with a larger payload are rejected."},
	{.name = "EVENT_MAX",
		.type = SETTING_SIZE,
		.default_value = "131072",
		.min = 1024,
		.max = FRAME_BYTES,
		.unit = "bytes",
		.group = ACKNOWLEDGING,
		FIELD(event_max),
		.help = "Handlers cannot send events with a larger payload."},

	{.name = "LOG_LEVEL",
		.type = SETTING_CHOICE,
		.default_value = "info",
		.choices = log_levels,
		.group = LOG,
		FIELD(log_level),
		.help = "Least important lines that are written; debug writes one per command."},
	{.name = "LOG_FORMAT",
		.type = SETTING_CHOICE,
		.default_value = "auto",
		.choices = log_formats,
		.group = LOG,
		FIELD(log_format),
		.help = "Readable lines (text) or one JSON object a line (json); auto: text on a terminal, "
			"else json."},
	{.name = "LOG_PAYLOADS",
		.type = SETTING_SWITCH,
		.default_value = "off",
		.group = LOG,
		FIELD(log_payloads),
		.help = "Write the payloads of commands into the log, cut at 1 KiB: they may hold what only "
			"their "
			"users are to see."},
	{.name = "LOGGLY_TOKEN",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = 256,
		.plain = true,
		.secret = true,
		.group = LOG,
		FIELD(loggly_token),
		.help = "Customer token of Loggly, where the log is shipped to; empty: it is not shipped."},
	{.name = "LOGGLY_SUBDOMAIN",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = 63,
		.plain = true,
		.group = LOG,
		FIELD(loggly_subdomain),
		.help = "Subdomain of your Loggly account: only for the link to the logs that is written at "
			"start."},
	{.name = "LOGGLY_TAGS",
		.type = SETTING_TEXT,
		.default_value = "cashewd",
		.min = 1,
		.max = 256,
		.group = LOG,
		FIELD(loggly_tags),
		.help = "Tags that the events get in Loggly, names of A-Z a-z 0-9 . _ - separated by "
			"commas."},
	{.name = "LOGGLY_URL",
		.type = SETTING_TEXT,
		.default_value = "https://logs-01.loggly.com",
		.min = 1,
		.max = 1024,
		.group = LOG,
		FIELD(loggly_url),
		.help = "Where events are sent, without /bulk/ and what follows: https:// only, and without "
			"a "
			"password in it."},
	{.name = "LOGGLY_CA_FILE",
		.type = SETTING_TEXT,
		.default_value = "",
		.max = PATH_BYTES,
		.group = LOG,
		FIELD(loggly_ca_file),
		.help = "PEM file with the certificate authorities that may vouch for LOGGLY_URL; empty: "
			"those "
			"of the system."},
	{.name = "LOG_SPOOL_DIR",
		.type = SETTING_TEXT,
		.default_value = "log-spool",
		.max = PATH_BYTES,
		.group = LOG,
		FIELD(log_spool_dir),
		.help = "Folder for events that cannot be sent to Loggly now, made where it is missing, one "
			"for "
			"each cashewd; empty: none, and they are kept in memory alone."},
	{.name = "LOG_SPOOL_MAX",
		.type = SETTING_SIZE,
		.default_value = "268435456",
		.min = 4194304,
		.max = 1099511627776,
		.unit = "bytes",
		.group = LOG,
		FIELD(log_spool_max),
		.help = "Bytes that LOG_SPOOL_DIR may take; beyond that its oldest events are dropped and "
			"counted."},
	{.name = "METRICS_ADDR",
		.type = SETTING_TEXT,
		.default_value = "127.0.0.1:9883",
		.max = 63,
		.group = WATCHING,
		FIELD(metrics_addr),
		.help = "Where /metrics, /healthz, /readyz and /status are served over HTTP: an address and "
			"a port, of which 0 means any free one, or off. Where the port is taken a warning "
			"says so, and all else goes on."},
};

const struct retired_setting settings_retired[] = {
	{"GROUP_MAX", "remove it; WINDOW says how many commands may be held unacknowledged."},
	{"GROUP_MS", "remove it; each acknowledgement leaves as soon as those of the commands before it may."},
	{NULL, NULL},
};

const size_t settings_count = sizeof(settings_table) / sizeof(settings_table[0]);
