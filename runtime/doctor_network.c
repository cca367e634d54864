/*
 * doctor_network.c - the way to the broker: its name and its addresses.
 *
 * The name is looked up by a thread of the C library's, so that a name server that does not answer costs the
 * time-out and no more. Each address is connected to and let go again.
 */
#include "doctor.h"

#include "configuration.h"
#include "doctor_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOW_MS = 1000 };

/* ---- The name ---- */

static int look_up(struct doctor *doctor, struct addrinfo **ret)
{
	const struct settings *settings = &doctor->configuration->settings;
	static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	/* Not on the stack: where it does not come back in time, the library still has it. */
	static struct gaicb request;
	static char port[16], host[256];
	struct gaicb *list[] = {&request};
	const struct gaicb *const waited[] = {&request};
	const struct timespec timeout = {
		.tv_sec = doctor->timeout_ms / 1000, .tv_nsec = (long)(doctor->timeout_ms % 1000) * 1000000};
	snprintf(port, sizeof(port), "%u", settings->broker_port);
	snprintf(host, sizeof(host), "%s", settings->broker_host);
	request = (struct gaicb){.ar_name = host, .ar_service = port, .ar_request = &hints};
	int r = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	if (r != 0)
		return r;
	const int64_t until = doctor_now_ms() + doctor->timeout_ms;
	do
		r = gai_suspend(waited, 1, &timeout);
	while (r == EAI_INTR && doctor_now_ms() < until);
	r = gai_error(&request);
	if (r == 0)
		*ret = request.ar_result;
	return r;
}

static void take_addresses(struct doctor *doctor, const struct addrinfo *found)
{
	for (; found != NULL && doctor->address_count < DOCTOR_ADDRESSES_MAX; found = found->ai_next) {
		struct doctor_address *address = &doctor->addresses[doctor->address_count];
		if (found->ai_addrlen > sizeof(address->address))
			continue;
		memcpy(&address->address, found->ai_addr, found->ai_addrlen);
		address->size = found->ai_addrlen;
		if (getnameinfo(found->ai_addr, found->ai_addrlen, address->text, sizeof(address->text), NULL,
			    0, NI_NUMERICHOST) == 0)
			doctor->address_count++;
	}
}

static void name_fails(struct doctor *doctor, int error)
{
	const char *host = doctor->configuration->settings.broker_host;
	if (error == EAI_INPROGRESS) {
		doctor_fail(doctor, "BROKER_HOST=%s: no name server answered within %u s", host,
			doctor->timeout_ms / 1000);
		doctor_advise(doctor, "check /etc/resolv.conf and the way to the name servers in it");
	} else if (error == EAI_NONAME || error == EAI_NODATA) {
		doctor_fail(doctor, "BROKER_HOST=%s: there is no such name", host);
		doctor_advise(doctor, "correct BROKER_HOST, or add the name to DNS or /etc/hosts");
	} else {
		doctor_fail(doctor, "BROKER_HOST=%s: %s", host, gai_strerror(error));
		doctor_advise(doctor, "check BROKER_HOST and /etc/resolv.conf");
	}
}

void doctor_check_name(struct doctor *doctor)
{
	const char *host = doctor->configuration->settings.broker_host;
	struct addrinfo *found = NULL;
	const int64_t start = doctor_now_ms();
	const int error = look_up(doctor, &found);
	const int64_t took = doctor_now_ms() - start;
	if (error != 0) {
		name_fails(doctor, error);
		return;
	}
	take_addresses(doctor, found);
	freeaddrinfo(found);
	char all[DOCTOR_TEXT_SIZE] = "";
	for (size_t i = 0, size = 0; i < doctor->address_count && size < sizeof(all); i++)
		size += (size_t)snprintf(
			all + size, sizeof(all) - size, "%s%s", i > 0 ? ", " : "", doctor->addresses[i].text);
	if (doctor->address_count == 1 && strcmp(host, all) == 0)
		doctor_ok(doctor, "BROKER_HOST=%s is an address", host);
	else if (took <= SLOW_MS)
		doctor_ok(doctor, "%s is %s (%" PRId64 " ms)", host, all, took);
	else {
		doctor_warn(doctor, "%s is %s, and it took %" PRId64 " ms to learn that", host, all, took);
		doctor_advise(doctor, "the host does nothing meanwhile, at each connect: a name server in "
				      "/etc/resolv.conf is slow or away");
	}
}

/* ---- TCP ---- */

int doctor_connect(const struct doctor_address *address, unsigned timeout_ms, int *ret_fd)
{
	const int fd =
		socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	int error = 0;
	if (connect(fd, (const struct sockaddr *)&address->address, address->size) != 0) {
		error = errno;
		if (error == EINPROGRESS) {
			socklen_t size = sizeof(error);
			if (!doctor_wait_fd(fd, POLLOUT, doctor_now_ms() + timeout_ms))
				error = ETIMEDOUT;
			else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
				error = errno;
		}
	}
	if (error != 0) {
		close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

bool doctor_wait_fd(int fd, short events, int64_t until_ms)
{
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = events};
		const int64_t left = until_ms - doctor_now_ms();
		const int r = poll(&wait, 1, left > 0 ? (int)left : 0);
		if (r > 0)
			return true;
		if (left <= 0 || (r < 0 && errno != EINTR))
			return false;
	}
}

static const char *connect_advice(int error)
{
	switch (error) {
	case ECONNREFUSED: return "nobody listens there: is the broker running, and is BROKER_PORT its port?";
	case ETIMEDOUT: return "nothing comes back: a firewall on the way, or the machine is down";
	case ENETUNREACH:
	case EHOSTUNREACH: return "there is no route to it: check this machine's network";
	default: return "check BROKER_HOST, BROKER_PORT and the network";
	}
}

void doctor_check_tcp(struct doctor *doctor)
{
	const unsigned port = doctor->configuration->settings.broker_port;
	int errors[DOCTOR_ADDRESSES_MAX] = {0};
	int64_t took_us = 0;
	for (size_t i = 0; i < doctor->address_count; i++) {
		int fd = -1;
		const int64_t start = doctor_now_us();
		errors[i] = -doctor_connect(&doctor->addresses[i], doctor->timeout_ms, &fd);
		doctor->addresses[i].answers = errors[i] == 0;
		if (errors[i] != 0)
			continue;
		close(fd);
		if (doctor->address == NULL) {
			doctor->address = &doctor->addresses[i];
			took_us = doctor_now_us() - start;
		}
	}
	/* The host tries the name's first address, and where that is of IPv6, one of IPv4. */
	const bool past_ipv6 = doctor->address != NULL && doctor->address->address.ss_family == AF_INET;
	if (doctor->address != NULL)
		doctor_ok(doctor, "%s port %u answers (%.1f ms)", doctor->address->text, port,
			(double)took_us / 1000);
	for (size_t i = 0; i < doctor->address_count; i++) {
		const struct doctor_address *address = &doctor->addresses[i];
		if (errors[i] == 0)
			continue;
		if (doctor->address == NULL)
			doctor_fail(doctor, "%s port %u: %s", address->text, port, strerror(errors[i]));
		else if (past_ipv6 && address->address.ss_family == AF_INET6 && errors[i] != ETIMEDOUT)
			continue; /* many a "localhost" is so, and costs nothing */
		else
			doctor_warn(doctor, "%s port %u: %s", address->text, port, strerror(errors[i]));
		doctor_advise(doctor, "%s", connect_advice(errors[i]));
	}
}
