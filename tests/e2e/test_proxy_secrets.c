/*
 * test_proxy_secrets.c - the login in BROKER_PROXY stays where it was put, also where the proxy says it again: log, spool, the doctor's output, the
 * processes' arguments and environments are searched for it, as it is and as it is sent.
 */
#include "doctor_parts.h"
#include "harness.h"
#include "secret_search.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

/* ---- A proxy that says again what it hears ---- */

struct parrot {
	int listener;
	pthread_t thread;
};

static size_t hear(int fd, char *request, size_t room)
{
	size_t size = 0;
	request[0] = '\0';
	while (!strstr(request, "\r\n\r\n") && size + 1 < room) {
		const ssize_t got = recv(fd, request + size, room - 1 - size, 0);
		if (got <= 0)
			break;
		size += (size_t)got;
		request[size] = '\0';
	}
	return size;
}

/* Refuses everybody, with the login in the status line, in a field and in a page. */
static void *answer_all(void *context)
{
	const struct parrot *parrot = context;
	int fd;
	while ((fd = accept4(parrot->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		const struct timeval patience = {.tv_sec = HARNESS_TIMEOUT_MS / 1000};
		char request[4096], answer[8192];
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)hear(fd, request, sizeof(request));
		const char *login = strstr(request, "Basic ");
		const int size = login ? (int)strcspn(login, "\r") : 0;
		const int count = snprintf(answer, sizeof(answer),
			"HTTP/1.1 407 what is %.*s\r\nProxy-Authenticate: %.*s\r\n\r\n%.*s", size,
			login ? login : "", size, login ? login : "", size, login ? login : "");
		(void)send(fd, answer, (size_t)count, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

/* Its port. */
static unsigned parrot_start(struct parrot *parrot)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	parrot->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(parrot->listener, (struct sockaddr *)&address, size), errno);
	assert_return_code(listen(parrot->listener, 16), errno);
	assert_return_code(getsockname(parrot->listener, (struct sockaddr *)&address, &size), errno);
	assert_int_equal(pthread_create(&parrot->thread, NULL, answer_all, parrot), 0);
	return ntohs(address.sin_port);
}

static void parrot_stop(struct parrot *parrot)
{
	/* Wakes accept(). */
	shutdown(parrot->listener, SHUT_RDWR);
	pthread_join(parrot->thread, NULL);
	close(parrot->listener);
}

/* ---- Where the setting stands ---- */

enum place { IN_FILE, IN_ENVIRONMENT, IN_SECRET_FILE, PLACES };

static void set_proxy(struct harness *h, struct host *host, enum place place, const char *url)
{
	switch (place) {
	case IN_FILE: host_set(host, "BROKER_PROXY", url); break;
	case IN_ENVIRONMENT: host_set_environment(host, "BROKER_PROXY", url); break;
	case IN_SECRET_FILE:
		/* A name that the search passes over: the test has put it there. */
		harness_write_file(h, harness_format(h, "%s/handler.token", host_folder(host)), url);
		host_set(host, "BROKER_PROXY_FILE", "handler.token");
		break;
	case PLACES: abort();
	}
}

static void expect_no_secret(struct harness *h, const struct host *host)
{
	files_searched = 0;
	search_folder(h, host_folder(host), true);
	assert_true(files_searched > 0);
}

/* The log is shipped to nobody, so that the spool has it. */
static void look_everywhere(struct harness *h, enum place place)
{
	struct parrot parrot;
	const char *url = harness_format(h, "http://svc:" PROXY "@127.0.0.1:%u", parrot_start(&parrot));
	struct host *host = host_new(h, HOST_PRODUCT);
	set_proxy(h, host, place, url);
	host_set(host, "LOGGLY_TOKEN", LOGGLY);
	host_set(host, "LOGGLY_URL", "https://127.0.0.1:1");
	host_start(host);
	const json_t *record = host_expect_log(host, "broker_unreachable");
	const char *reason = json_string_value(json_object_get(record, "reason"));
	print_message("%s\n", reason);
	assert_non_null(strstr(reason, "answered HTTP 407 (what is Basic ********)"));
	host_expect_log(host, "loggly_away");
	search_processes(h, host);
	host_stop(host);
	expect_no_secret(h, host);

	struct host *doctor = doctor_new(h);
	set_proxy(h, doctor, place, url);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tcp", "fail", "answered HTTP 407 (what is Basic ********)");
	forget(&visit);
	expect_no_secret(h, doctor);

	static const char *const check[] = {"--check", NULL};
	host_set_arguments(doctor, check);
	host_start(doctor);
	assert_int_equal(host_wait_exit(doctor), 0);
	assert_true(host_wrote(doctor, "BROKER_PROXY=http://svc:********@127.0.0.1:"));
	expect_no_secret(h, doctor);
	parrot_stop(&parrot);
}

HARNESS_CASE(in_env_file)
{
	look_everywhere(h, IN_FILE);
}

HARNESS_CASE(in_environment)
{
	look_everywhere(h, IN_ENVIRONMENT);
}

HARNESS_CASE(in_secret_file)
{
	look_everywhere(h, IN_SECRET_FILE);
}

HARNESS_MAIN(HARNESS_TEST(in_env_file), HARNESS_TEST(in_environment), HARNESS_TEST(in_secret_file))
