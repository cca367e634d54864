/*
 * kit_service.c - test_service(): an HTTP server of the test's own on 127.0.0.1, which answers every request alike and keeps the body of the last.
 *
 * libmicrohttpd serves it on a thread of its own while the handler waits for the answer. A second test_service() of a setting changes the answer. The
 * process of the test takes it down.
 */
#include "kit_private.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 16 * 1024 * 1024 };

struct kit_service {
	struct kit_service *next;
	char *setting;
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock;
	unsigned status;
	char *answer;
	char *asked; /* the last body; NULL: not asked yet */
	size_t asked_size;
};

/* A request that is being read. */
struct request {
	char *body;
	size_t size;
};

static enum MHD_Result answer(
	struct kit_service *service, struct MHD_Connection *connection, struct request *request)
{
	pthread_mutex_lock(&service->lock);
	free(service->asked);
	service->asked = request->body ? request->body : kit_copy("");
	service->asked_size = request->size;
	request->body = NULL;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(service->answer), service->answer, MHD_RESPMEM_MUST_COPY);
	const enum MHD_Result queued =
		response ? MHD_queue_response(connection, service->status, response) : MHD_NO;
	MHD_destroy_response(response);
	pthread_mutex_unlock(&service->lock);
	return queued;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	(void)url;
	(void)method;
	(void)version;
	struct request *request = *state;
	if (!request) {
		*state = kit_memory(calloc(1, sizeof(*request)));
		return MHD_YES;
	}
	if (*size == 0)
		return answer(context, connection, request);
	if (*size > BODY_MAX - request->size)
		return MHD_NO;
	request->body = kit_memory(realloc(request->body, request->size + *size + 1));
	memcpy(request->body + request->size, data, *size);
	request->size += *size;
	request->body[request->size] = '\0';
	*size = 0;
	return MHD_YES;
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)connection;
	(void)code;
	struct request *request = *state;
	if (request)
		free(request->body);
	free(request);
	*state = NULL;
}

static struct kit_service *find(const struct kit *t, const char *setting)
{
	struct kit_service *service = t->services;
	while (service && strcmp(service->setting, setting) != 0)
		service = service->next;
	return service;
}

static struct kit_service *start(struct kit *t, const char *file, int line, const char *setting)
{
	struct kit_service *service = kit_memory(calloc(1, sizeof(*service)));
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	pthread_mutex_init(&service->lock, NULL);
	service->setting = kit_copy(setting);
	service->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
		service, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_END);
	const union MHD_DaemonInfo *info =
		service->daemon ? MHD_get_daemon_info(service->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	if (!info)
		kit_fail((struct kit_place){file, line}, "the service of %s cannot be started on 127.0.0.1",
			setting);
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)info->port);
	service->next = t->services;
	t->services = service;
	cashew_test_set_(t, file, line, setting, url);
	return service;
}

void cashew_test_service_(
	cashew_test *t, const char *file, int line, const char *setting, int status, const char *body)
{
	struct kit_service *service = find(t, setting);
	if (status < 200 || status > 599)
		kit_fail((struct kit_place){file, line}, "%d is no status of an answer: expected 200 to 599",
			status);
	if (!service)
		service = start(t, file, line, setting);
	pthread_mutex_lock(&service->lock);
	service->status = (unsigned)status;
	free(service->answer);
	service->answer = kit_json_text(body);
	pthread_mutex_unlock(&service->lock);
}

/* With one service it is that one; of several, the one that was named last. */
void cashew_test_asked_(cashew_test *t, const char *file, int line, const char *body)
{
	const struct kit_place place = {file, line};
	struct kit_service *service = t->services;
	if (!service)
		kit_fail(place, "there is no service: expected a test_service() before");
	json_t *expected = kit_json(place, body);
	char *text = kit_json_dump(expected);
	pthread_mutex_lock(&service->lock);
	if (!service->asked)
		kit_fail(place, "the service of %s was not asked, expected %s", service->setting, text);
	json_t *found = kit_json_of(service->asked, service->asked_size);
	if (!found || !json_equal(found, expected))
		kit_fail(place, "the service of %s was asked %s, expected %s", service->setting,
			service->asked, text);
	pthread_mutex_unlock(&service->lock);
	json_decref(found);
	json_decref(expected);
	free(text);
}

void kit_services_free(struct kit *t)
{
	for (struct kit_service *service = t->services, *next; service; service = next) {
		next = service->next;
		MHD_stop_daemon(service->daemon);
		pthread_mutex_destroy(&service->lock);
		free(service->setting);
		free(service->answer);
		free(service->asked);
		free(service);
	}
	t->services = NULL;
}
