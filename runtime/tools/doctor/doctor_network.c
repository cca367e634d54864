/*
 * doctor_network.c - the way to the broker: its name and its addresses, or those of the proxy before it.
 *
 * The name is looked up by a thread of its own, so that a name server that does not answer costs the
 * time-out and no more. Each address is connected to and let go again.
 */
#include "clock.h"
#include "doctor.h"

#include "broker_proxy.h"
#include "configuration.h"
#include "doctor_socket.h"
#include "proxy.h"

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

/* What is looked up and connected to here. */
struct target {
	bool proxied;
	unsigned port;
	const char *names;
	struct broker_proxy proxy;
};

static void find_target(const struct doctor *doctor, struct target *ret)
{
	const struct settings *settings = &doctor->configuration->settings;
	*ret = (struct target){.port = settings->broker_port, .names = settings->broker_host};
	if (!proxy_is_set(settings))
		return;
	/* Settings that were checked. Nothing of the login is used here. */
	if (broker_proxy_read(settings->broker_proxy, &ret->proxy))
		abort();
	ret->proxied = true;
	ret->port = ret->proxy.port;
	ret->names = ret->proxy.host;
}

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
	if (lookup->found)
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

static struct lookup *lookup_start(const char *host, unsigned port)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	pthread_attr_t detached;
	pthread_t thread;
	if (!lookup)
		return NULL;
	snprintf(lookup->port, sizeof(lookup->port), "%u", port);
	snprintf(lookup->host, sizeof(lookup->host), "%s", host);
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
static int look_up(const struct doctor *doctor, const char *host, unsigned port, struct addrinfo **ret)
{
	struct lookup *lookup = lookup_start(host, port);
	struct timespec until;
	int r = 0;
	if (!lookup)
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

static void take_addresses(struct doctor *doctor, const char *host, const struct addrinfo *found)
{
	for (; found && doctor->address_count < DOCTOR_ADDRESSES_MAX; found = found->ai_next) {
		struct doctor_address *address = &doctor->addresses[doctor->address_count];
		if (found->ai_addrlen > sizeof(address->address))
			continue;
		memcpy(&address->address, found->ai_addr, found->ai_addrlen);
		address->size = found->ai_addrlen;
		snprintf(address->host, sizeof(address->host), "%s", host);
		if (getnameinfo(found->ai_addr, found->ai_addrlen, address->text, sizeof(address->text), NULL,
			    0, NI_NUMERICHOST) == 0)
			doctor->address_count++;
	}
}

/* A name of several, of which another is good, is worth a warning. */
static void name_fails(struct doctor *doctor, const struct target *target, const char *host, int error)
{
	char why[128];
	const char *title = target->proxied ? "the host in BROKER_PROXY, " : "BROKER_HOST=";
	const char *advice = target->proxied ? "correct BROKER_PROXY, or add the name to DNS or /etc/hosts"
					     : "correct BROKER_HOST, or add the name to DNS or /etc/hosts";
	if (error == EAI_INPROGRESS) {
		snprintf(why, sizeof(why), "no name server answered within %u s", doctor->timeout_ms / 1000);
		advice = "check /etc/resolv.conf and the way to the name servers in it";
	} else if (error == EAI_NONAME || error == EAI_NODATA) {
		snprintf(why, sizeof(why), "there is no such name");
	} else {
		snprintf(why, sizeof(why), "%s", gai_strerror(error));
		advice = target->proxied ? "check BROKER_PROXY and /etc/resolv.conf"
					 : "check BROKER_HOST and /etc/resolv.conf";
	}
	if (doctor->address_count > 0)
		doctor_warn(doctor, "%s%s: %s", title, host, why);
	else
		doctor_fail(doctor, "%s%s: %s", title, host, why);
	doctor_advise(doctor, "%s", advice);
}

static void tell_name(struct doctor *doctor, const struct target *target, const char *host, int64_t took_ms)
{
	char all[DOCTOR_TEXT_SIZE] = "";
	size_t size = 0;
	for (size_t i = 0; i < doctor->address_count; i++)
		if (strcmp(doctor->addresses[i].host, host) == 0 && size < sizeof(all))
			size += (size_t)snprintf(all + size, sizeof(all) - size, "%s%s", size > 0 ? ", " : "",
				doctor->addresses[i].text);
	const char *title = target->proxied ? "the proxy " : "";
	if (strcmp(host, all) == 0)
		doctor_ok(doctor, "%s%s is an address",
			target->proxied ? "the host in BROKER_PROXY, " : "BROKER_HOST=", host);
	else if (took_ms <= SLOW_MS)
		doctor_ok(doctor, "%s%s is %s (%" PRId64 " ms)", title, host, all, took_ms);
	else {
		doctor_warn(doctor, "%s%s is %s, and it took %" PRId64 " ms to learn that", title, host, all,
			took_ms);
		doctor_advise(doctor,
			"each connect takes that much longer: a name server in /etc/resolv.conf is slow or away");
	}
}

void doctor_check_name(struct doctor *doctor)
{
	struct target target;
	find_target(doctor, &target);
	const size_t count = broker_names_count(target.names);
	char host[BROKER_NAME_SIZE];
	int errors[BROKER_NAMES_MAX];
	int64_t took_ms[BROKER_NAMES_MAX];
	for (size_t i = 0; i < count && i < BROKER_NAMES_MAX; i++) {
		struct addrinfo *found = NULL;
		const int64_t start = clock_ms();
		broker_names_at(target.names, i, host);
		errors[i] = look_up(doctor, host, target.port, &found);
		took_ms[i] = clock_ms() - start;
		if (errors[i] != 0)
			continue;
		take_addresses(doctor, host, found);
		freeaddrinfo(found);
	}
	for (size_t i = 0; i < count && i < BROKER_NAMES_MAX; i++) {
		broker_names_at(target.names, i, host);
		if (errors[i] != 0)
			name_fails(doctor, &target, host, errors[i]);
		else
			tell_name(doctor, &target, host, took_ms[i]);
	}
	broker_proxy_clear(&target.proxy);
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

static const char *connect_advice(int error, bool proxied)
{
	switch (error) {
	case ECONNREFUSED:
		return proxied ? "nobody listens there: is the proxy running, and is that its port in BROKER_PROXY?"
			       : "nobody listens there: is the broker running, and is BROKER_PORT its port?";
	case ETIMEDOUT: return "nothing comes back: a firewall on the way, or the machine is down";
	case ENETUNREACH:
	case EHOSTUNREACH: return "there is no route to it: check this machine's network";
	default:
		return proxied ? "check BROKER_PROXY and the network"
			       : "check BROKER_HOST, BROKER_PORT and the network";
	}
}

/* The first of that name's that answers; NULL: none does. */
static const struct doctor_address *answers_for(const struct doctor *doctor, const char *host)
{
	for (size_t i = 0; i < doctor->address_count; i++)
		if (doctor->addresses[i].answers && strcmp(doctor->addresses[i].host, host) == 0)
			return &doctor->addresses[i];
	return NULL;
}

/* "ADDRESS port PORT", and whose it is where BROKER_HOST has several names, or it is the proxy's. */
static void place_text(
	const struct doctor *doctor, const struct doctor_address *address, char ret[static DOCTOR_TEXT_SIZE])
{
	struct target target;
	find_target(doctor, &target);
	const bool several =
		broker_names_count(target.names) > 1 && strcmp(address->host, address->text) != 0;
	snprintf(ret, DOCTOR_TEXT_SIZE, "%s%s%s%s port %u", target.proxied ? "the proxy " : "",
		several ? address->host : "", several ? ", " : "", address->text, target.port);
	broker_proxy_clear(&target.proxy);
}

/* The host tries a name's addresses one after the other, the next one after a quarter of a second (RFC 8305). */
static void tell_silent(struct doctor *doctor, const struct doctor_address *address, int error)
{
	const struct doctor_address *answering = answers_for(doctor, address->host);
	char place[DOCTOR_TEXT_SIZE];
	/* Many a "localhost" is so, and costs nothing. */
	if (answering && answering->address.ss_family == AF_INET && address->address.ss_family == AF_INET6 &&
		error != ETIMEDOUT)
		return;
	place_text(doctor, address, place);
	if (!doctor->address)
		doctor_fail(doctor, "%s: %s", place, strerror(error));
	else
		doctor_warn(doctor, "%s: %s", place, strerror(error));
	doctor_advise(doctor, "%s", connect_advice(error, proxy_is_set(&doctor->configuration->settings)));
}

void doctor_check_tcp(struct doctor *doctor)
{
	int errors[DOCTOR_ADDRESSES_MAX] = {0};
	int64_t took_us[DOCTOR_ADDRESSES_MAX] = {0};
	char place[DOCTOR_TEXT_SIZE];
	for (size_t i = 0; i < doctor->address_count; i++) {
		struct doctor_address *address = &doctor->addresses[i];
		int fd = -1;
		const int64_t start = clock_us();
		errors[i] = -doctor_connect(address, doctor->timeout_ms, &fd);
		address->answers = errors[i] == 0;
		if (errors[i] != 0)
			continue;
		close(fd);
		took_us[i] = clock_us() - start;
		if (!doctor->address)
			doctor->address = address;
	}
	if (doctor->address) {
		doctor->broker = doctor->configuration->settings;
		snprintf(doctor->broker_name, sizeof(doctor->broker_name), "%s", doctor->address->host);
		doctor->broker.broker_host = doctor->broker_name;
	}
	for (size_t i = 0; i < doctor->address_count; i++) {
		if (answers_for(doctor, doctor->addresses[i].host) != &doctor->addresses[i])
			continue;
		place_text(doctor, &doctor->addresses[i], place);
		doctor_ok(doctor, "%s answers (%.1f ms)", place, (double)took_us[i] / 1000);
	}
	for (size_t i = 0; i < doctor->address_count; i++)
		if (errors[i] != 0)
			tell_silent(doctor, &doctor->addresses[i], errors[i]);
	if (doctor->address && proxy_is_set(&doctor->broker))
		doctor_pass_proxy(doctor);
}
