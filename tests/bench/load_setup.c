/*
 * load_setup.c - the load generator's connections: opened, subscribed to the events of their devices, closed.
 * Failure: a message on standard error and -1.
 */
#include "load_private.h"
#include "packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_AHEAD = 128 * 1024 };

static void write_subscription(const struct load *load, unsigned connection_index)
{
	const struct load_options *const options = load->options;
	struct connection *const connection = &load->connections[connection_index];
	const bool by_contact = options->mode->match == LOAD_MATCH_CONTACT;
	const unsigned filters = (by_contact ? LOAD_CONTACTS : 0) + 2 * options->devices;
	char filter[USER_SIZE + 64];
	size_t size = 0;

	/* Twice over the same filters: first for their size, then to write them. */
	for (unsigned pass = 0; pass < 2; pass++) {
		if (pass == 1) {
			unsigned char *const out = stream_room(&connection->stream, PACKET_OVERHEAD);
			stream_wrote(&connection->stream, packet_subscribe_begin(out, 1, size));
		}
		for (unsigned at = 0; at < filters; at++) {
			if (at % options->connections != connection_index)
				continue;
			if (at < options->devices)
				(void)snprintf(
					filter, sizeof(filter), "%c%u/command_rejected", options->prefix, at);
			else if (at < 2 * options->devices)
				(void)snprintf(filter, sizeof(filter), "%c%u/%s", options->prefix,
					at - options->devices, options->mode->event);
			else
				(void)snprintf(filter, sizeof(filter), "c%s-%u/%s", options->run,
					at - 2 * options->devices, options->mode->event);
			if (pass == 0) {
				size += packet_filter_size(filter);
				continue;
			}
			unsigned char *const out =
				stream_room(&connection->stream, packet_filter_size(filter));
			stream_wrote(&connection->stream, packet_filter(out, filter, 1));
		}
	}
}

static int open_connections(struct load *load, SSL_CTX *tls)
{
	const struct load_options *const options = load->options;
	const size_t token_size = options->token ? strlen(options->token) : 0;

	for (unsigned at = 0; at < options->connections; at++) {
		struct connection *const connection = &load->connections[at];
		struct epoll_event event = {.data.ptr = connection, .events = EPOLLIN};
		char client_id[48];

		connection->id_used = calloc(65536, 1);
		if (!connection->id_used)
			return fail("load", "out of memory", 99);
		if (stream_open(&connection->stream, options->host, options->port, tls) != 0)
			return -1;
		(void)snprintf(client_id, sizeof(client_id), "load-%ld-%u", (long)getpid(), at);
		unsigned char *const out =
			stream_room(&connection->stream, PACKET_OVERHEAD + sizeof(client_id) + token_size);
		const struct packet_connect connect = {
			.client_id = client_id, .keepalive_s = LOAD_KEEPALIVE_S, .token = options->token};
		stream_wrote(&connection->stream, packet_connect(out, &connect));
		write_subscription(load, at);
		if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->stream.fd, &event) != 0)
			return fail("epoll_ctl", strerror(errno), 99);
	}
	const uint64_t limit = nanoseconds(CLOCK_MONOTONIC) + LOAD_STALL_S * NANOSECONDS;
	for (unsigned at = 0; at < options->connections;) {
		if (load->connections[at].subscribed) {
			at++;
			continue;
		}
		if (load_turn(load, limit) != 0)
			return -1;
		if (load->now >= limit)
			return fail("the broker", "did not answer CONNECT and SUBSCRIBE", 99);
	}
	return 0;
}

static void close_connections(struct load *load)
{
	for (unsigned at = 0; at < load->options->connections; at++) {
		struct connection *const connection = &load->connections[at];
		if (connection->subscribed) {
			stream_wrote(&connection->stream,
				packet_disconnect(stream_room(&connection->stream, PACKET_OVERHEAD)));
			(void)stream_flush(&connection->stream);
		}
		if (connection->id_used)
			stream_close(&connection->stream);
		free(connection->id_used);
	}
}

int load_run(struct load_options *options, struct load_result *ret_result)
{
	struct load load = {.options = options, .result = ret_result};
	SSL_CTX *tls = NULL;
	int result = -1;

	if (options->ca_file && !(tls = stream_tls(options->ca_file, READ_AHEAD)))
		return -1;
	load.connections = calloc(options->connections, sizeof(*load.connections));
	load.devices = calloc(options->devices, sizeof(*load.devices));
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.connections || !load.devices || load.epoll < 0) {
		(void)fail("load", "out of memory or descriptors", 99);
	} else {
		for (unsigned at = 0; at < options->devices; at++)
			load.devices[at].topic_size =
				(size_t)snprintf(load.devices[at].topic, sizeof(load.devices[at].topic),
					"%c%u/%s", options->prefix, at, options->mode->name);
		result = open_connections(&load, tls);
		if (result == 0)
			result = load_traffic(&load);
		close_connections(&load);
	}
	if (load.epoll >= 0)
		(void)close(load.epoll);
	free(load.connections);
	free(load.devices);
	SSL_CTX_free(tls);
	return result;
}
