/* test_doctor_access.c - `cashewd doctor`: what the broker lets others do, who are not the host's handlers. */
#include "doctor_parts.h"
#include "harness_private.h"
#include "port.h"
#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDLERS_SECRET "h8Xq-2mVw7_Tc4Nd9Zb1Kf6Gj3Rs5Lp0"

/* A mosquitto with settings of the case's own. */
struct own_broker {
	struct harness_process process;
	unsigned port;
};

static bool listens(void *context)
{
	const struct own_broker *broker = context;
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)broker->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool connected = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return connected;
}

static unsigned start_own_broker(struct harness *h, const char *settings)
{
	struct own_broker *broker = harness_alloc(h, sizeof(*broker));
	const int port = port_reserve();
	assert_true(port > 0);
	broker->port = (unsigned)port;
	broker->process.name = "the own broker";
	const char *const argv[] = {MOSQUITTO_PATH, "-c",
		harness_write_file(h, harness_path(h, "own.conf"),
			harness_format(h, "listener %d 127.0.0.1\n%s", port, settings)),
		NULL};
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = harness_folder(h),
		.output = harness_path(h, "own.log"),
		.death_signal = SIGKILL};
	assert_int_equal(process_start(&broker->process.process, &options), 0);
	harness_add_process(h, &broker->process);
	harness_wait(h, listens, broker, "the own broker to listen");
	return broker->port;
}

HARNESS_CASE(handlers_have_a_secret_of_their_own)
{
	const struct broker_options options = {
		.extra = harness_format(h, "plugin_opt_handler_secret_file %s\n",
			harness_write_file(h, "handlers", HANDLERS_SECRET))};
	harness_broker_with(h, &options);
	struct host *doctor = doctor_new(h);
	host_set(doctor, "JWT_HANDLER_SECRET", HANDLERS_SECRET);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "token", "ok", "signed with JWT_HANDLER_SECRET");
	expect_line(&visit, "broker_login", "ok", "MQTT 5");
	expect_line(&visit, "strangers", "ok", "refused");
	expect_line(&visit, "user_login", "ok", "accepted");
	assert_null(strstr(output(h, doctor), "JWT_SECRET signs handlers' tokens"));
	assert_null(strstr(output(h, doctor), HANDLERS_SECRET));
	forget(&visit);
	/* The host that does not know of it gets in no more. */
	host_set(doctor, "JWT_HANDLER_SECRET", NULL);
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_login", "refuses the handler's token");
	forget(&visit);
}

HARNESS_CASE(broker_that_keeps_nobody_apart_is_a_security_hole)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_PORT",
		harness_format(h, "%u", start_own_broker(h, "allow_anonymous true\n")));
	host_set(doctor, "BROKER_TLS", "off");
	host_set(doctor, "BROKER_CA_FILE", NULL);
	host_set(doctor, "JWT_HANDLER_SECRET", HANDLERS_SECRET);
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "strangers", "SECURITY HOLE: a token signed with another secret");
	expect_failure(&visit, "strangers", "SECURITY HOLE: a handler's token signed with JWT_SECRET");
	expect_failure(&visit, "strangers", "SECURITY HOLE: a client without a token");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to doctor_");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to +/doctor_");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may subscribe to #");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may publish");
	expect_failure(&visit, "names",
		"SECURITY HOLE: a user named cashewd is let in with the client id cashewd-doctor-");
	assert_null(line_of(&visit, "access", "ok", "are refused"));
	forget(&visit);
}

/* What a handler may do, a user may as well once it has been done. */
HARNESS_CASE(broker_that_remembers_rights_by_user_name_is_a_security_hole)
{
	const char *settings = harness_format(h,
		"user root\nallow_anonymous false\nplugin %s\nplugin " BROKER_PLUGIN_PATH
		"\nplugin_opt_secret_file %s\nplugin_opt_handler_client_ids cashewd\n",
		SHARED_RIGHTS_PATH, harness_write_file(h, "secret", HARNESS_SECRET));
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", start_own_broker(h, settings)));
	host_set(doctor, "BROKER_TLS", "off");
	host_set(doctor, "BROKER_CA_FILE", NULL);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "strangers", "ok", "refused");
	expect_failure(&visit, "access", "SECURITY HOLE: a user may publish to another user's topics");
	assert_non_null(strstr(
		json_string_value(json_object_get(line_of(&visit, "access", "fail", "publish"), "advice")),
		"remember no rights by the user name"));
	assert_null(line_of(&visit, "access", "ok", "are refused"));
	assert_null(line_of(&visit, "access", "fail", "subscribe"));
	forget(&visit);
}

/* That of another host than the one that the broker's configuration knows. */
HARNESS_CASE(user_with_the_hosts_client_id_is_a_security_hole)
{
	static const struct {
		const char *client_id, *user; /* who gets a client id like that; NULL: nobody */
	} cases[] = {{"worker2", "worker2"}, {"cashewd-2", NULL}, {"pears-2", "pears"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host *doctor = doctor_new(h);
		host_set(doctor, "CLIENT_ID", cases[i].client_id);
		struct visit visit = examine(h, doctor);
		if (cases[i].user)
			expect_failure(&visit, "names",
				harness_format(h,
					"SECURITY HOLE: a user named %s is let in with the client id %s-doctor-",
					cases[i].user, cases[i].client_id));
		else
			assert_null(line_of(&visit, "names", "fail", ""));
		forget(&visit);
	}
}

HARNESS_MAIN(HARNESS_TEST(handlers_have_a_secret_of_their_own),
	HARNESS_TEST(broker_that_keeps_nobody_apart_is_a_security_hole),
	HARNESS_TEST(broker_that_remembers_rights_by_user_name_is_a_security_hole),
	HARNESS_TEST(user_with_the_hosts_client_id_is_a_security_hole))
