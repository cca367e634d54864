/*
 * tcp.h - a TCP connection to one of several addresses, as RFC 8305 ("Happy Eyeballs") has it.
 *
 * Happy path: tcp_new() sorts the addresses so that the families take turns, and begins with the first; whenever tcp_poll_fd() is readable or
 * tcp_due_ms() has come, tcp_serve() goes on: the next address after 250 ms, or at once when one has failed. The first that is connected wins, and
 * the others are closed. Failure modes: all have failed: the error of the last that says more than "this machine has no such network"; none has
 * answered within 8 s.
 *
 * One thread. Nothing here blocks.
 */
#ifndef TCP_H
#define TCP_H

#include <stdint.h>

struct addrinfo;
struct tcp;

enum tcp_limit {
	TCP_NEXT_MS = 250,     /* RFC 8305, section 8: Connection Attempt Delay */
	TCP_OPEN_MS = 8000,    /* all addresses together */
	TCP_ADDRESSES_MAX = 16 /* further ones are not tried */
};

enum tcp_error {
	TCP_E_LATE = 1, /* no address has answered in time */
};

/* Begins to connect; the list is copied. 0 and *ret; -ENOMEM or another negative errno where there is no epoll descriptor. An address that fails at
 * once is told of by tcp_serve(). */
__attribute__((warn_unused_result)) int tcp_new(
	const struct addrinfo *addresses, int64_t now_ms, struct tcp **ret);

/* Closes all attempts; NULL is fine. */
void tcp_free(struct tcp *tcp);

/*
 * Goes on. 0: *ret_socket is connected, non-blocking, with TCP_NODELAY, and the caller's; -EAGAIN: not yet; TCP_E_LATE; another negative errno: all
 * have failed. Once over, only tcp_free() may follow.
 */
__attribute__((warn_unused_result)) int tcp_serve(struct tcp *tcp, int64_t now_ms, int *ret_socket);

/* An epoll descriptor, readable when one of the attempts has come to something. */
int tcp_poll_fd(const struct tcp *tcp);

/* When tcp_serve() is due without anything readable. */
int64_t tcp_due_ms(const struct tcp *tcp);

#endif
