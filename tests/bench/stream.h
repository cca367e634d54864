/*
 * stream.h - a non-blocking byte stream over TCP or TLS with large buffers: many MQTT packets per system
 * call.
 *
 * stream_open() connects and shakes hands, waiting STREAM_CONNECT_S at most; from then on nothing waits. One
 * thread. Failure: functions return -1 after a message on standard error; the caller gives up.
 */
#ifndef STREAM_H
#define STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

enum { STREAM_CONNECT_S = 5 };

/* Whether nothing is told of what goes wrong: for a caller that expects it and tries again. False. */
extern bool stream_silent;

/* Trusts that authority alone, and reads so many bytes of the socket at once where there are as many: brokers send a record for each packet.
 * NULL after a message on standard error. */
SSL_CTX *stream_tls(const char *ca_file, size_t read_ahead);

struct stream {
	int fd;
	SSL *ssl;	   /* NULL: plain TCP */
	unsigned char *in; /* bytes that came and are not consumed yet: in[in_start] .. in[in_end - 1] */
	size_t in_start, in_end, in_size;
	unsigned char *out; /* bytes that wait for stream_flush(): out[out_start] .. out[out_end - 1] */
	size_t out_start, out_end, out_size;
	bool blocked; /* the last flush left bytes behind: wait for EPOLLOUT */
	bool once;    /* a fill reads once: what comes meanwhile is for the next one */
};

/* How to connect where stream_open() is not enough. */
struct stream_way {
	const char *host;
	unsigned port;
	SSL_CTX *tls;	     /* NULL: plain TCP; else the certificate must be good for host */
	SSL_SESSION *resume; /* NULL: a whole handshake */
	const char *source;  /* an IPv4 address of this machine; NULL: whichever */
	size_t buffer_size;  /* of input and output each, at first; input never has more */
	bool once;	     /* of struct stream */
};

/* Connects to host:port, with large buffers; tls as above. 0 or -1. */
int stream_open(struct stream *stream, const char *host, unsigned port, SSL_CTX *tls);
int stream_open_way(struct stream *stream, const struct stream_way *way);
void stream_close(struct stream *stream);

/* Reads what is there, until the socket or the room is exhausted. Bytes read (0: nothing there), -1: closed
 * or broken. */
long stream_fill(struct stream *stream);

/* Room for size more bytes at the end of the output; stream_wrote() takes those that were written there. */
unsigned char *stream_room(struct stream *stream, size_t size);
void stream_wrote(struct stream *stream, size_t size);

/* Writes out as much as the socket takes. 0 or -1. */
int stream_flush(struct stream *stream);

#endif
