/*
 * doctor_proxy.c - BROKER_PROXY on the way to the broker: the host's CONNECT (proxy.h), for the checks that open a connection of their own.
 *
 * Happy path: the proxy lets through to the first of BROKER_HOST's names that it can reach. Failure: what it answers for each name is told.
 */
#include "clock.h"
#include "doctor.h"

#include "configuration.h"
#include "doctor_socket.h"
#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void free_proxy(struct proxy **proxy)
{
	proxy_free(*proxy);
}

/* Asks the proxy at the other end of the socket for the broker of those settings. 0, or a negative errno and the reason. */
static int pass(
	const struct settings *settings, int fd, int64_t until_ms, char reason[static DOCTOR_TEXT_SIZE])
{
	__attribute__((cleanup(free_proxy))) struct proxy *proxy = NULL;
	int error = proxy_new(settings, fd, &proxy);
	if (error != 0) {
		snprintf(reason, DOCTOR_TEXT_SIZE, "%s", strerror(-error));
		return error;
	}
	while ((error = proxy_shake(proxy)) == -EAGAIN) {
		if (doctor_wait_fd(fd, proxy_events(proxy), until_ms))
			continue;
		char name[PROXY_NAME_SIZE];
		proxy_name(settings, name);
		snprintf(reason, DOCTOR_TEXT_SIZE, "%s: it did not answer CONNECT in time", name);
		return -ETIMEDOUT;
	}
	if (error != 0)
		snprintf(reason, DOCTOR_TEXT_SIZE, "%s", proxy_reason(proxy));
	return error;
}

int doctor_reach(const struct doctor *doctor, int *ret_fd, char reason[static DOCTOR_TEXT_SIZE])
{
	const int64_t until_ms = clock_ms() + doctor->timeout_ms;
	int fd = -1;
	int error = doctor_connect(doctor->address, doctor->timeout_ms, &fd);
	if (error != 0) {
		snprintf(reason, DOCTOR_TEXT_SIZE, "no connection to %s: %s", doctor->address->text,
			strerror(-error));
		return error;
	}
	if (proxy_is_set(&doctor->broker))
		error = pass(&doctor->broker, fd, until_ms, reason);
	if (error != 0)
		close(fd);
	else
		*ret_fd = fd;
	return error;
}

void doctor_pass_proxy(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	const size_t count = broker_names_count(settings->broker_host);
	char reasons[BROKER_NAMES_MAX][DOCTOR_TEXT_SIZE], name[PROXY_NAME_SIZE];
	size_t first = count;
	proxy_name(settings, name);
	for (size_t i = 0; i < count && i < BROKER_NAMES_MAX; i++) {
		int fd = -1;
		reasons[i][0] = '\0';
		broker_names_at(settings->broker_host, i, doctor->broker_name);
		const int64_t start = clock_us();
		if (doctor_reach(doctor, &fd, reasons[i]) != 0)
			continue;
		close(fd);
		doctor_ok(doctor, "%s connects to %s port %u (%.1f ms), whose name it has looked up itself",
			name, doctor->broker_name, settings->broker_port,
			(double)(clock_us() - start) / 1000);
		first = first == count ? i : first;
	}
	for (size_t i = 0; i < count && i < BROKER_NAMES_MAX; i++) {
		if (reasons[i][0] == '\0')
			continue;
		if (first == count)
			doctor_fail(doctor, "%s", reasons[i]);
		else
			doctor_warn(doctor, "%s", reasons[i]);
	}
	broker_names_at(settings->broker_host, first == count ? 0 : first, doctor->broker_name);
}
