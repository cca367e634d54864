/*
 * harness_broker.c - mosquitto as examples/broker/run starts it, and the ways in which a test wants it
 * otherwise. See harness.h.
 */
#include "harness_private.h"
#include "port.h"
#include "relay.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 24 };

struct broker {
	struct harness *harness;
	struct broker_options options;
	struct harness_process process;
	struct relay *relay; /* in front of it; NULL: none */
	const char *argv[ARGUMENTS_MAX];
	const char *folder, *env, *output, *ca_file;
	int port; /* where clients go */
	int handler_port, websocket_port;
};

/* What the example forbids and tests do: a thousand commands in a second from one user, hundreds of sessions, retained commands and payloads that the
 * host has to refuse. And whoever looks for mosquitto's lines about connections finds them. */
static const char no_limits[] =
	"plugin_opt_quota_messages_per_second 0\nplugin_opt_quota_bytes_per_second 0\n"
	"plugin_opt_quota_refusals_per_second 0\n"
	"plugin_opt_quota_connections 0\nplugin_opt_quota_sessions 0\n"
	"plugin_opt_quota_subscriptions 0\nplugin_opt_quota_connects_per_minute 0\n"
	"plugin_opt_quota_failed_logins_per_minute 0\nplugin_opt_quota_retained on\n"
	"message_size_limit 1048576\nmax_packet_size 1114112\nconnection_messages true\n";

/* The program's certificates, good ones and bad ones, made at the first call. */
static const char *certificates(void)
{
	static char folder[512];
	if (folder[0] == '\0') {
		char log[600];
		snprintf(folder, sizeof(folder), "%s/certificates", harness_group_folder);
		snprintf(log, sizeof(log), "%s.log", folder);
		const char *const argv[] = {
			SOURCE_DIR "/examples/broker/certificates", folder, "--bad", NULL};
		if (harness_execute(harness_group_folder, log, argv) != 0) {
			harness_print_tail(log);
			harness_fail("no certificates could be made in %s", folder);
		}
	}
	return folder;
}

static void link_file(struct broker *broker, const char *target, const char *name)
{
	const char *path = harness_format(broker->harness, "%s/certificates/%s", broker->folder, name);
	(void)unlink(path);
	if (symlink(harness_format(broker->harness, "%s/%s", certificates(), target), path) != 0)
		harness_fail("%s could not be linked: %s", path, strerror(errno));
}

void broker_set_certificate(struct broker *broker, enum broker_certificate certificate)
{
	static const char *const files[] = {[BROKER_GOOD] = "server.crt",
		[BROKER_EXPIRED] = "expired.crt",
		[BROKER_WRONG_NAME] = "wrong-name.crt",
		[BROKER_OTHER_CA] = "other-ca.crt"};
	link_file(broker, files[certificate], "server.crt");
}

/* A folder as examples/broker/run wants it, with one of the certificates as the server's. */
static const char *choose_certificate(struct broker *broker)
{
	const char *chosen = harness_format(broker->harness, "%s/certificates", broker->folder);
	if (mkdir(chosen, 0700) != 0)
		harness_fail("%s could not be made: %s", chosen, strerror(errno));
	link_file(broker, "ca.crt", "ca.crt");
	link_file(broker, "server.key", "server.key");
	broker_set_certificate(broker, broker->options.certificate);
	return chosen;
}

static int reserve(void)
{
	const int port = port_reserve();
	if (port < 0)
		harness_fail("no port for the broker: %s", strerror(-port));
	return port;
}

/* A listener for hosts that speaks WebSockets, as lines of mosquitto.conf. */
static const char *websocket_lines(struct broker *broker)
{
	struct harness *h = broker->harness;
	if (!broker->options.websocket)
		return "";
	broker->websocket_port = reserve();
	return harness_format(h, "listener %d 127.0.0.1\nprotocol websockets\n%s", broker->websocket_port,
		broker->options.plain ? ""
				      : harness_format(h, "certfile %s/server.crt\nkeyfile %s/server.key\n",
						certificates(), certificates()));
}

/* The plugin and TLS, as in production. */
static void use_example(struct broker *broker)
{
	struct harness *h = broker->harness;
	const int tls_port = reserve(), plain_port = broker->options.plain ? reserve() : 0;
	const int handler_port = reserve();
	size_t count = 0;
	const char *const fixed[] = {SOURCE_DIR "/examples/broker/run", "--plugin", BROKER_PLUGIN_PATH,
		"--state", broker->folder, "--certificates", choose_certificate(broker), "--secret-file",
		harness_write_file(h, harness_format(h, "%s/secret", broker->folder), HARNESS_SECRET),
		"--extra",
		harness_write_file(h, harness_format(h, "%s/extra.conf", broker->folder),
			harness_format(h, "%s%s%s", broker->options.example_limits ? "" : no_limits,
				broker->options.extra ? broker->options.extra : "", websocket_lines(broker))),
		"--port", harness_format(h, "%d", tls_port), "--handler-port",
		harness_format(h, "%d", handler_port)};
	for (; count < sizeof(fixed) / sizeof(fixed[0]); count++)
		broker->argv[count] = fixed[count];
	if (broker->options.plain) {
		broker->argv[count++] = "--plain-port";
		broker->argv[count++] = harness_format(h, "%d", plain_port);
	} else {
		broker->ca_file = harness_format(h, "%s/ca.crt", certificates());
	}
	if (broker->options.no_persistence)
		broker->argv[count++] = "--no-persistence";
	broker->port = broker->options.plain ? plain_port : tls_port;
	broker->handler_port = broker->options.websocket ? broker->websocket_port
			       : broker->options.plain	 ? plain_port
							 : handler_port;
	broker->env = harness_format(h, "%s/env", broker->folder);
}

struct broker *broker_new(struct harness *h, const struct broker_options *options)
{
	static unsigned number;
	struct broker *broker = harness_alloc(h, sizeof(*broker));
	broker->harness = h;
	broker->process.name = "the broker";
	if (options)
		broker->options = *options;
	if (broker->options.only_mqtt311)
		broker->options.plain = true;
	broker->folder = harness_path(h, "broker-%u", ++number);
	broker->output = harness_format(h, "%s/mosquitto.log", broker->folder);
	if (mkdir(broker->folder, 0700) != 0)
		harness_fail("%s could not be made: %s", broker->folder, strerror(errno));
	use_example(broker);
	if (broker->options.only_mqtt311)
		relay_allow_only_mqtt311(broker->relay = relay_new(h, (unsigned)broker->port));
	harness_add_process(h, &broker->process);
	harness_watch_folder(h, broker->folder);
	return broker;
}

struct broker *harness_broker_with(struct harness *h, const struct broker_options *options)
{
	if (!h->broker) {
		h->broker = broker_new(h, options);
		broker_start(h->broker);
	}
	return h->broker;
}

struct broker *harness_broker(struct harness *h)
{
	return harness_broker_with(h, NULL);
}

/* The script says so once all listeners are open. */
static bool broker_listens(void *context)
{
	const struct broker *broker = context;
	return access(broker->env, R_OK) == 0;
}

void broker_start(struct broker *broker)
{
	const struct process_options options = {.argv = broker->argv,
		.environment = process_environment(),
		.folder = broker->folder,
		.output = broker->output,
		.death_signal = SIGKILL};
	unlink(broker->env);
	if (process_start(&broker->process.process, &options) != 0)
		harness_fail("the broker's script could not be started");
	harness_wait(broker->harness, broker_listens, broker, "the broker to listen");
}

static void signal_and_wait(struct broker *broker, int signal)
{
	broker->process.process.awaited = true;
	process_signal(&broker->process.process, signal);
	if (!process_reap(&broker->process.process, HARNESS_TIMEOUT_MS))
		harness_fail("the broker did not end after signal %d", signal);
}

void broker_stop(struct broker *broker)
{
	signal_and_wait(broker, SIGTERM);
}

void broker_kill(struct broker *broker)
{
	signal_and_wait(broker, SIGKILL);
}

void broker_pause(struct broker *broker)
{
	process_signal(&broker->process.process, SIGSTOP);
}

void broker_resume(struct broker *broker)
{
	process_signal(&broker->process.process, SIGCONT);
}

void broker_forget(struct broker *broker)
{
	unlink(harness_format(broker->harness, "%s/data/mosquitto.db", broker->folder));
}

struct broker_save {
	const char *path;
	struct stat before;
};

/* It writes another file, and puts it in the place of the first. */
static bool is_saved(void *context)
{
	const struct broker_save *save = context;
	struct stat now;
	return stat(save->path, &now) == 0 &&
	       (now.st_ino != save->before.st_ino || now.st_mtim.tv_sec != save->before.st_mtim.tv_sec ||
		       now.st_mtim.tv_nsec != save->before.st_mtim.tv_nsec);
}

void broker_save(struct broker *broker)
{
	struct broker_save save = {
		.path = harness_format(broker->harness, "%s/data/mosquitto.db", broker->folder)};
	harness_watch_folder(broker->harness, harness_format(broker->harness, "%s/data", broker->folder));
	if (stat(save.path, &save.before) != 0)
		save.before.st_ino = 0;
	process_signal(&broker->process.process, SIGUSR1);
	harness_wait(broker->harness, is_saved, &save, "the broker to write what it keeps");
}

unsigned broker_port(const struct broker *broker)
{
	return broker->relay ? relay_port(broker->relay) : (unsigned)broker->port;
}

unsigned broker_handler_port(const struct broker *broker)
{
	return broker->relay ? relay_port(broker->relay) : (unsigned)broker->handler_port;
}

const char *broker_log(const struct broker *broker)
{
	return broker->output;
}

size_t broker_count_log(const struct broker *broker, const char *text)
{
	FILE *file = fopen(broker->output, "re");
	if (!file)
		harness_fail("the broker's log %s cannot be read: %s", broker->output, strerror(errno));
	char *line = NULL;
	size_t room = 0, count = 0;
	while (getline(&line, &room, file) >= 0)
		count += strstr(line, text) != NULL;
	free(line);
	fclose(file);
	return count;
}

struct log_wait {
	const struct broker *broker;
	const char *text;
	size_t count;
};

static bool log_holds(void *context)
{
	const struct log_wait *wait = context;
	return broker_count_log(wait->broker, wait->text) >= wait->count;
}

void broker_wait_log(struct harness *h, const struct broker *broker, const char *text, size_t count)
{
	struct log_wait wait = {.broker = broker, .text = text, .count = count};
	harness_wait(h, log_holds, &wait, "\"%s\" in %zu lines of the broker's log", text, count);
}

bool broker_is_websocket(const struct broker *broker)
{
	return broker->options.websocket;
}

const char *broker_ca_file(const struct broker *broker)
{
	return broker->ca_file;
}

pid_t broker_pid(const struct broker *broker)
{
	return broker->process.process.pid;
}
