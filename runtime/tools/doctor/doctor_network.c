/*
 * doctor_network.c - the way to the broker: its name and its addresses.
 *
 * The name is looked up by a thread of its own, so that a name server that does not answer costs the
 * time-out and no more. Each address is connected to and let go again.
 */
#include "clock.h"
#include "doctor.h"

#include "configuration.h"
#include "doctor_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_MS = 1000 };

/* ---- The name ---- */

/* Belongs to whoever is last of the two that use it. */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, abandoned; /* under the lock, as the next two */
	int error;	      /* of getaddrinfo() */
	struct addrinfo *found;
	char host[256], port[16];
};

static void lookup_free(struct lookup *lookup)
{
	if (lookup->found != NULL)
		freeaddrinfo(lookup->found);
	pthread_cond_destroy(&lookup->changed);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup);
}

static void *look_up_there(void *context)
{
	static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct lookup *lookup = context;
	struct addrinfo *found = NULL;
	const int error = getaddrinfo(lookup->host, lookup->port, &hints, &found);
	pthread_mutex_lock(&lookup->lock);
	lookup->error = error;
	lookup->found = error == 0 ? found : NULL;
	lookup->done = true;
	const bool abandoned = lookup->abandoned;
	pthread_cond_signal(&lookup->changed);
	pthread_mutex_unlock(&lookup->lock);
	if (abandoned)
		lookup_free(lookup);
	return NULL;
}

static struct lookup *lookup_start(const struct settings *settings)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	pthread_attr_t detached;
	pthread_t thread;
	if (lookup == NULL)
		return NULL;
	snprintf(lookup->port, sizeof(lookup->port), "%u", settings->broker_port);
	snprintf(lookup->host, sizeof(lookup->host), "%s", settings->broker_host);
	pthread_mutex_init(&lookup->lock, NULL);
	pthread_cond_init(&lookup->changed, NULL);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	const int r = pthread_create(&thread, &detached, look_up_there, lookup);
	pthread_attr_destroy(&detached);
	if (r == 0)
		return lookup;
	lookup_free(lookup);
	return NULL;
}

/* 0 and addresses, or an error of getaddrinfo(); EAI_INPROGRESS: it takes too long. */
static int look_up(struct doctor *doctor, struct addrinfo **ret)
{
	struct lookup *lookup = lookup_start(&doctor->configuration->settings);
	struct timespec until;
	int r = 0;
	if (lookup == NULL)
		return EAI_MEMORY;
	clock_timespec_in(doctor->timeout_ms, &until);
	pthread_mutex_lock(&lookup->lock);
	while (!lookup->done && r == 0)
		r = pthread_cond_clockwait(&lookup->changed, &lookup->lock, CLOCK_MONOTONIC, &until);
	const bool done = lookup->done;
	lookup->abandoned = !done;
	pthread_mutex_unlock(&lookup->lock);
	if (!done)
		return EAI_INPROGRESS;
	r = lookup->error;
	if (r == 0)
		*ret = lookup->found;
	lookup->found = NULL;
	lookup_free(lookup);
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
	const int64_t start = clock_ms();
	const int error = look_up(doctor, &found);
	const int64_t took = clock_ms() - start;
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
		doctor_advise(doctor,
			"each connect takes that much longer: a name server in /etc/resolv.conf is slow or away");
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
			if (!doctor_wait_fd(fd, POLLOUT, clock_ms() + timeout_ms))
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
		const int64_t left = until_ms - clock_ms();
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
		const int64_t start = clock_us();
		errors[i] = -doctor_connect(&doctor->addresses[i], doctor->timeout_ms, &fd);
		doctor->addresses[i].answers = errors[i] == 0;
		if (errors[i] != 0)
			continue;
		close(fd);
		if (doctor->address == NULL) {
			doctor->address = &doctor->addresses[i];
			took_us = clock_us() - start;
		}
	}
	/* The host tries one after the other, the next one after a quarter of a second (RFC 8305). */
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
