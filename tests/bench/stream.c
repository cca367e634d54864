/* stream.c - see stream.h. */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAM_BUFFER = 256 * 1024 };

bool stream_silent;

static int complain(const char *what, const char *why)
{
	if (!stream_silent)
		(void)fprintf(stderr, "load: %s: %s\n", what, why);
	return -1;
}

static int complain_tls(const char *what)
{
	char why[256];
	const unsigned long code = ERR_get_error();

	if (code == 0)
		return complain(what, errno != 0 ? strerror(errno) : "closed by the other side");
	ERR_error_string_n(code, why, sizeof(why));
	return complain(what, why);
}

SSL_CTX *stream_tls(const char *ca_file, size_t read_ahead)
{
	SSL_CTX *const tls = SSL_CTX_new(TLS_client_method());

	if (!tls || SSL_CTX_load_verify_locations(tls, ca_file, NULL) != 1) {
		(void)complain("cannot read the certificate authority", ca_file);
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(tls, 1);
	SSL_CTX_set_default_read_buffer_len(tls, read_ahead);
	return tls;
}

/* The port is chosen in connect(): many connections have it, each to another pair of addresses. */
static int bind_source(int fd, const char *source)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const int on = 1;

	if (!source)
		return 0;
	if (inet_pton(AF_INET, source, &address.sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0)
		return -1;
	return bind(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int tcp_connect(const char *host, unsigned port, const char *source)
{
	const struct addrinfo hints = {.ai_family = source ? AF_INET : AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_sec = STREAM_CONNECT_S};
	const int on = 1;
	struct addrinfo *addresses;
	char service[16];
	int fd = -1;

	(void)snprintf(service, sizeof(service), "%u", port);
	const int failed = getaddrinfo(host, service, &hints, &addresses);
	if (failed != 0)
		return complain(host, gai_strerror(failed));
	for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next) {
		fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			break;
		/* The limits bound connect() and the handshake; they mean nothing once the socket does not
		 * block. */
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
			bind_source(fd, source) != 0 ||
			connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
			const int error = errno;
			(void)close(fd);
			fd = -1;
			errno = error;
		}
	}
	freeaddrinfo(addresses);
	return fd >= 0 ? fd : complain("cannot connect to the broker", strerror(errno));
}

static int tls_connect(struct stream *stream, const struct stream_way *way)
{
	const char *const host = way->host;
	unsigned char address[sizeof(struct in6_addr)];
	const bool numeric =
		inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;

	stream->ssl = SSL_new(way->tls);
	if (!stream->ssl)
		return complain_tls("SSL_new");
	const int named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), host)
				  : SSL_set1_host(stream->ssl, host);
	if (named != 1 || (way->resume && SSL_set_session(stream->ssl, way->resume) != 1) ||
		SSL_set_fd(stream->ssl, stream->fd) != 1 || SSL_connect(stream->ssl) != 1)
		return complain_tls("TLS handshake with the broker");
	return 0;
}

int stream_open(struct stream *stream, const char *host, unsigned port, SSL_CTX *tls)
{
	const struct stream_way way = {.host = host, .port = port, .tls = tls, .buffer_size = STREAM_BUFFER};

	return stream_open_way(stream, &way);
}

int stream_open_way(struct stream *stream, const struct stream_way *way)
{
	*stream = (struct stream){
		.fd = -1, .in_size = way->buffer_size, .out_size = way->buffer_size, .once = way->once};
	stream->in = malloc(stream->in_size);
	stream->out = malloc(stream->out_size);
	if (!stream->in || !stream->out)
		return complain("stream", "out of memory");
	stream->fd = tcp_connect(way->host, way->port, way->source);
	if (stream->fd < 0)
		return -1;
	if (way->tls && tls_connect(stream, way) != 0)
		return -1;
	const int flags = fcntl(stream->fd, F_GETFL);
	if (flags < 0 || fcntl(stream->fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return complain("fcntl", strerror(errno));
	return 0;
}

void stream_close(struct stream *stream)
{
	SSL_free(stream->ssl);
	if (stream->fd >= 0)
		(void)close(stream->fd);
	free(stream->in);
	free(stream->out);
	*stream = (struct stream){.fd = -1};
}

/* Before each call of OpenSSL's whose error is asked for. To clear a queue that is empty, as it almost always is, costs as much as a short read. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	errno = 0;
}

/* One read: bytes, 0 where nothing is there, -1 where the connection is gone. */
static long read_some(struct stream *stream)
{
	unsigned char *const at = stream->in + stream->in_end;
	const size_t room = stream->in_size - stream->in_end;

	if (!stream->ssl) {
		const ssize_t got = recv(stream->fd, at, room, 0);
		if (got > 0)
			return got;
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		return complain(
			"connection to the broker", got == 0 ? "closed by the broker" : strerror(errno));
	}
	forget_errors();
	const int got = SSL_read(stream->ssl, at, (int)room);
	if (got > 0)
		return got;
	const int error = SSL_get_error(stream->ssl, got);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return 0;
	return complain_tls("connection to the broker");
}

long stream_fill(struct stream *stream)
{
	long total = 0;

	if (stream->in_start > 0) {
		memmove(stream->in, stream->in + stream->in_start, stream->in_end - stream->in_start);
		stream->in_end -= stream->in_start;
		stream->in_start = 0;
	}
	while (stream->in_end < stream->in_size) {
		const size_t room = stream->in_size - stream->in_end;
		const long got = read_some(stream);
		if (got < 0)
			return -1;
		stream->in_end += (size_t)got;
		total += got;
		/* A short read of a plain socket has emptied it: no second call to be told so. */
		if (got == 0 || (!stream->ssl && (size_t)got < room))
			break;
		if (stream->once && (!stream->ssl || !SSL_has_pending(stream->ssl)))
			break;
	}
	return total;
}

unsigned char *stream_room(struct stream *stream, size_t size)
{
	if (stream->out_size - stream->out_end < size) {
		memmove(stream->out, stream->out + stream->out_start, stream->out_end - stream->out_start);
		stream->out_end -= stream->out_start;
		stream->out_start = 0;
	}
	if (stream->out_size - stream->out_end < size) {
		stream->out_size = 2 * (stream->out_end + size);
		stream->out = realloc(stream->out, stream->out_size);
		if (!stream->out)
			abort();
	}
	return stream->out + stream->out_end;
}

void stream_wrote(struct stream *stream, size_t size)
{
	stream->out_end += size;
	if (stream->out_end > stream->out_size)
		abort();
}

int stream_flush(struct stream *stream)
{
	stream->blocked = false;
	while (stream->out_start < stream->out_end) {
		const unsigned char *const at = stream->out + stream->out_start;
		const size_t size = stream->out_end - stream->out_start;
		long wrote;

		if (!stream->ssl) {
			wrote = send(stream->fd, at, size, MSG_NOSIGNAL);
			if (wrote < 0 && errno != EAGAIN && errno != EINTR)
				return complain("connection to the broker", strerror(errno));
		} else {
			forget_errors();
			wrote = SSL_write(stream->ssl, at, (int)size);
			const int error = SSL_get_error(stream->ssl, (int)wrote);
			if (wrote <= 0 && error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
				return complain_tls("connection to the broker");
		}
		if (wrote <= 0) {
			stream->blocked = true;
			return 0;
		}
		stream->out_start += (size_t)wrote;
	}
	stream->out_start = stream->out_end = 0;
	return 0;
}
