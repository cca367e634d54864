/*
 * resolver.c - see resolver.h.
 *
 * One mutex guards all of it. A request belongs to two: the one who asked, and the queue or the thread that is at it; the resolver to its owner, its
 * threads and its requests.
 */
#include "resolver.h"

#include "broker_proxy.h"
#include "clock.h"
#include "handler_token.h"
#include "settings.h"
#include "small_file.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAREWELL_MS = 1000 };

struct resolver_request {
	struct resolver *resolver;
	struct resolver_request *next; /* in the queue */
	char *host;		       /* NULL: BROKER_HOST */
	unsigned references;
	int event;
	bool forgotten;
	bool answered;
	struct resolver_answer answer;
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t quiet; /* no thread is busy any more */
	unsigned references;
	unsigned threads;
	unsigned busy; /* threads that are past their lookup: files, OpenSSL */
	bool ending;
	struct resolver_request *first, **last;
	struct settings settings; /* only the texts that are copied, and numbers */
	char **filters;		  /* NULL: tokens are not locked */
	struct handler_topics topics;
};

/* ---- Settings that outlive the caller's ---- */

/* The texts that a thread reads. */
static const char **text(struct settings *settings, unsigned number)
{
	const char **const texts[] = {&settings->jwt_secret, &settings->jwt_handler_secret,
		&settings->handler_name, &settings->client_id, &settings->handler_token_file,
		&settings->broker_host, &settings->broker_ca_file, &settings->broker_cert_file,
		&settings->broker_key_file, &settings->broker_proxy};
	return number < sizeof(texts) / sizeof(texts[0]) ? texts[number] : NULL;
}

static void free_settings(struct settings *settings)
{
	const char **entry;
	for (unsigned i = 0; (entry = text(settings, i)); i++)
		if (*entry)
			small_file_free((char *)(uintptr_t)*entry, strlen(*entry));
}

static int copy_settings(const struct settings *from, struct settings *ret)
{
	struct settings source = *from;
	*ret = (struct settings){.broker_port = from->broker_port,
		.broker_tls = from->broker_tls,
		.token_lifetime_s = from->token_lifetime_s};
	const char **entry;
	for (unsigned i = 0; (entry = text(ret, i)); i++) {
		const char *value = *text(&source, i);
		*entry = strdup(value ? value : "");
		if (!*entry)
			return -ENOMEM;
	}
	return 0;
}

static void free_filters(char **filters)
{
	for (char **filter = filters; filter && *filter; filter++)
		free(*filter);
	free(filters);
}

/* ---- Ends: called with the lock held ---- */

/* Unlocks. */
static void release_resolver(struct resolver *resolver)
{
	const bool last = --resolver->references == 0;
	pthread_mutex_unlock(&resolver->lock);
	if (!last)
		return;
	pthread_cond_destroy(&resolver->quiet);
	pthread_mutex_destroy(&resolver->lock);
	free_settings(&resolver->settings);
	free_filters(resolver->filters);
	free(resolver);
}

static void free_request(struct resolver_request *request)
{
	if (request->event >= 0)
		close(request->event);
	free(request->host);
	free(request);
}

/* Unlocks too. */
static void release_request(struct resolver_request *request)
{
	struct resolver *resolver = request->resolver;
	if (--request->references > 0) {
		pthread_mutex_unlock(&resolver->lock);
		return;
	}
	release_resolver(resolver);
	resolver_answer_free(&request->answer);
	free_request(request);
}

void resolver_answer_free(struct resolver_answer *answer)
{
	if (answer->addresses)
		freeaddrinfo(answer->addresses);
	tls_context_free(answer->context);
	handler_token_free(answer->token);
	answer->addresses = NULL;
	answer->context = NULL;
	answer->token = NULL;
}

/* ---- The work, without the lock ---- */

/* Where to connect to: the proxy, if there is one. Whether there is. */
static bool find_place(const struct settings *settings, const char *host,
	char ret_name[static BROKER_NAME_SIZE], char ret_port[static 16])
{
	struct broker_proxy proxy = {.port = 0};
	const bool proxied =
		settings->broker_proxy[0] != '\0' && !broker_proxy_read(settings->broker_proxy, &proxy);
	snprintf(ret_name, BROKER_NAME_SIZE, "%s", proxied ? proxy.host : host);
	snprintf(ret_port, 16, "%u", proxied ? proxy.port : settings->broker_port);
	broker_proxy_clear(&proxy);
	return proxied;
}

static bool look_up(const struct settings *settings, const char *host, struct resolver_answer *answer)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	char name[BROKER_NAME_SIZE], port[16];
	const bool proxied = find_place(settings, host, name, port);
	errno = 0;
	const int error = getaddrinfo(name, port, &hints, &answer->addresses);
	if (error == 0)
		return true;
	answer->addresses = NULL;
	snprintf(answer->reason, sizeof(answer->reason), "%s%.256s cannot be resolved: %s",
		proxied ? "the host in BROKER_PROXY, " : "BROKER_HOST=", name,
		error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	return false;
}

static bool prepare(const struct resolver *resolver, struct resolver_answer *answer)
{
	const struct settings *settings = &resolver->settings;
	const struct handler_topics *topics = resolver->filters ? &resolver->topics : NULL;
	snprintf(answer->reason, sizeof(answer->reason), "out of memory");
	if (settings->broker_tls && tls_context_new(settings, &answer->context, answer->reason) != 0)
		return false;
	const char *reason = "";
	if (handler_token(settings, topics, clock_unix_ms() / 1000, &answer->token, &reason) == 0)
		return true;
	snprintf(answer->reason, sizeof(answer->reason), "the handler's token cannot be %s: %s",
		settings->handler_token_file[0] != '\0' ? "read from HANDLER_TOKEN_FILE" : "signed", reason);
	return false;
}

/* ---- Threads ---- */

static bool is_wanted(const struct resolver *resolver, const struct resolver_request *request)
{
	return !request->forgotten && !resolver->ending;
}

/* Called with the lock held, returns with it held. Whether it has become busy, which ends when the request has been released. */
static bool answer(struct resolver *resolver, struct resolver_request *request)
{
	struct resolver_answer answer = {.reason = "the host is stopping"};
	bool busy = false;
	if (is_wanted(resolver, request)) {
		pthread_mutex_unlock(&resolver->lock);
		const char *host = request->host ? request->host : resolver->settings.broker_host;
		const bool found = look_up(&resolver->settings, host, &answer);
		pthread_mutex_lock(&resolver->lock);
		busy = found && is_wanted(resolver, request);
	}
	if (busy) {
		resolver->busy++;
		pthread_mutex_unlock(&resolver->lock);
		answer.ok = prepare(resolver, &answer);
		pthread_mutex_lock(&resolver->lock);
	}
	if (!answer.ok)
		resolver_answer_free(&answer);
	request->answer = answer;
	request->answered = true;
	(void)eventfd_write(request->event, 1);
	return busy;
}

static void *run(void *argument)
{
	struct resolver *resolver = argument;
	pthread_mutex_lock(&resolver->lock);
	while (resolver->first) {
		struct resolver_request *request = resolver->first;
		resolver->first = request->next;
		if (!resolver->first)
			resolver->last = &resolver->first;
		const bool busy = answer(resolver, request);
		/* The thread's own reference keeps the resolver. */
		release_request(request);
		if (busy)
			OPENSSL_thread_stop(); /* what it keeps for the thread is gone before resolver_free() returns */
		pthread_mutex_lock(&resolver->lock);
		if (busy && --resolver->busy == 0)
			pthread_cond_broadcast(&resolver->quiet);
	}
	resolver->threads--;
	release_resolver(resolver);
	return NULL;
}

/* With the lock held. Signals stay the other threads'. */
static int start_thread(struct resolver *resolver)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	int error = pthread_attr_init(&attributes);
	if (error != 0)
		return -error;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, run, resolver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		return -error;
	resolver->threads++;
	resolver->references++;
	return 0;
}

/* ---- Interface ---- */

int resolver_new(const struct settings *settings, struct resolver **ret)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return -ENOMEM;
	if (copy_settings(settings, &resolver->settings) != 0) {
		free_settings(&resolver->settings);
		free(resolver);
		return -ENOMEM;
	}
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->quiet, NULL);
	resolver->references = 1;
	resolver->last = &resolver->first;
	*ret = resolver;
	return 0;
}

int resolver_lock(struct resolver *resolver, const struct handler_topics *topics)
{
	char **filters = calloc(topics->count + 1, sizeof(*filters));
	bool copied = filters;
	for (size_t i = 0; copied && i < topics->count; i++)
		copied = (filters[i] = strdup(topics->filters[i]));
	if (!copied) {
		free_filters(filters);
		return -ENOMEM;
	}
	resolver->filters = filters;
	resolver->topics =
		(struct handler_topics){.filters = (const char *const *)filters, .count = topics->count};
	return 0;
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	struct timespec until;
	clock_timespec_in(FAREWELL_MS, &until);
	pthread_mutex_lock(&resolver->lock);
	resolver->ending = true;
	while (resolver->busy > 0 &&
		pthread_cond_clockwait(&resolver->quiet, &resolver->lock, CLOCK_MONOTONIC, &until) == 0)
		;
	release_resolver(resolver);
}

/* 0 and *ret, or a negative errno. */
static int new_request(const char *host, struct resolver_request **ret)
{
	struct resolver_request *request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	request->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error = request->event < 0 ? -errno : 0;
	if (error == 0 && host && !(request->host = strdup(host)))
		error = -ENOMEM;
	if (error == 0)
		*ret = request;
	else
		free_request(request);
	return error;
}

int resolver_ask(struct resolver *resolver, const char *host, struct resolver_request **ret)
{
	struct resolver_request *request = NULL;
	const int unready = new_request(host, &request);
	if (unready != 0)
		return unready;
	request->resolver = resolver;
	request->references = 2;
	pthread_mutex_lock(&resolver->lock);
	const int error = resolver->threads < RESOLVER_THREADS_MAX ? start_thread(resolver) : 0;
	/* Those that run will come to it too. */
	if (error != 0 && resolver->threads == 0) {
		pthread_mutex_unlock(&resolver->lock);
		free_request(request);
		return error;
	}
	resolver->references++;
	*resolver->last = request;
	resolver->last = &request->next;
	pthread_mutex_unlock(&resolver->lock);
	*ret = request;
	return 0;
}

int resolver_poll_fd(const struct resolver_request *request)
{
	return request->event;
}

bool resolver_take(struct resolver_request *request, struct resolver_answer *ret)
{
	pthread_mutex_lock(&request->resolver->lock);
	const bool answered = request->answered;
	if (answered) {
		*ret = request->answer;
		request->answer = (struct resolver_answer){0};
	}
	pthread_mutex_unlock(&request->resolver->lock);
	return answered;
}

void resolver_forget(struct resolver_request *request)
{
	if (!request)
		return;
	struct resolver *resolver = request->resolver;
	pthread_mutex_lock(&resolver->lock);
	request->forgotten = true;
	/* One that no thread has begun need not wait for one that hangs. */
	for (struct resolver_request **entry = &resolver->first; *entry; entry = &(*entry)->next)
		if (*entry == request) {
			*entry = request->next;
			if (!*entry)
				resolver->last = entry;
			request->references--;
			break;
		}
	release_request(request);
}
