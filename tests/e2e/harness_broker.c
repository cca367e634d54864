/* harness_broker.c - mosquitto, configured as examples/broker does, and the ways in which a test wants it
 * otherwise. See harness.h. */
#include "certificates.h"
#include "harness_private.h"
#include "panic.h"
#include "port.h"
#include "relay.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct broker {
	struct harness *harness;
	struct broker_options options;
	struct harness_process process;
	struct relay *relay; /* in front of it; NULL: none */
	const char *folder, *configuration, *output, *ca_file;
	int port;
	long started_at; /* size of the output when it was last started */
};

static const char *certificates(void)
{
	static char folder[512];
	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "%s/certificates", harness_group_folder);
		if (mkdir(folder, 0700) != 0 || certificates_make(folder) != 0)
			harness_fail("no certificates could be made in %s", folder);
	}
	return folder;
}

static void configure(struct broker *broker)
{
	static const char *const files[] = {[BROKER_GOOD] = "good.crt",
		[BROKER_EXPIRED] = "expired.crt",
		[BROKER_WRONG_NAME] = "wrong-name.crt",
		[BROKER_OTHER_CA] = "other-ca.crt"};
	struct harness *h = broker->harness;
	const struct broker_options *options = &broker->options;
	const char *text = harness_format(h,
		"listener %d 127.0.0.1\n"
		"socket_domain ipv4\n"
		"user root\n"
		"log_dest stderr\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
		"max_queued_messages 0\nmax_inflight_messages 0\nmax_queued_bytes 0\n",
		broker->port);
	if (!options->no_persistence)
		text = harness_format(h,
			"%spersistence true\npersistence_location %s/\nautosave_interval "
			"1\nautosave_on_changes true\n",
			text, broker->folder);
	if (!options->plain)
		text = harness_format(h, "%scertfile %s/%s\nkeyfile %s/server.key\n", text, certificates(),
			files[options->certificate], certificates());
	if (options->anonymous)
		text = harness_format(h, "%sallow_anonymous true\n", text);
	broker->configuration = harness_write_file(h, harness_format(h, "%s/mosquitto.conf", broker->folder),
		harness_format(h, "%s%s", text, options->extra ? options->extra : ""));
}

struct broker *broker_new(struct harness *h, const struct broker_options *options)
{
	static unsigned number;
	struct broker *broker = harness_alloc(h, sizeof(*broker));
	broker->harness = h;
	broker->process.name = "the broker";
	if (options != NULL)
		broker->options = *options;
	if (broker->options.only_mqtt311)
		broker->options.plain = true;
	broker->folder = harness_path(h, "broker-%u", ++number);
	broker->output = harness_format(h, "%s/mosquitto.log", broker->folder);
	broker->port = port_reserve();
	if (broker->port < 0 || mkdir(broker->folder, 0700) != 0)
		harness_fail("no port or no folder for the broker: %s", strerror(errno));
	if (!broker->options.plain)
		broker->ca_file = harness_format(h, "%s/ca.crt", certificates());
	if (broker->options.only_mqtt311)
		broker->relay = relay_new(h, (unsigned)broker->port);
	configure(broker);
	harness_add_process(h, &broker->process);
	harness_watch_folder(h, broker->folder);
	return broker;
}

struct broker *harness_broker(struct harness *h)
{
	if (h->broker == NULL) {
		h->broker = broker_new(h, NULL);
		broker_start(h->broker);
	}
	return h->broker;
}

/* Mosquitto says "running" once all listeners are open. */
static bool broker_listens(void *context)
{
	const struct broker *broker = context;
	FILE *output = fopen(broker->output, "re");
	char line[1024];
	bool running = false;
	if (output == NULL)
		return false;
	fseek(output, broker->started_at, SEEK_SET);
	while (!running && fgets(line, sizeof(line), output) != NULL)
		running = strstr(line, " running\n") != NULL;
	fclose(output);
	return running;
}

void broker_start(struct broker *broker)
{
	const char *const argv[] = {MOSQUITTO_PATH, "-c", broker->configuration, NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = broker->folder,
		.output = broker->output,
		.death_signal = SIGKILL};
	struct stat info;
	broker->started_at = stat(broker->output, &info) == 0 ? (long)info.st_size : 0;
	if (process_start(&broker->process.process, &options) != 0)
		harness_fail("mosquitto could not be started");
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
	unlink(harness_format(broker->harness, "%s/mosquitto.db", broker->folder));
}

unsigned broker_port(const struct broker *broker)
{
	return broker->relay ? relay_port(broker->relay) : (unsigned)broker->port;
}

const char *broker_ca_file(const struct broker *broker)
{
	return broker->ca_file;
}

pid_t broker_pid(const struct broker *broker)
{
	return broker->process.process.pid;
}

bool broker_takes_user(const struct broker *broker)
{
	return !broker->options.anonymous;
}
