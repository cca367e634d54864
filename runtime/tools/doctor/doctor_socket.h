/* doctor_socket.h - sockets of the doctor's checks, whose waits end in time. */
#ifndef DOCTOR_SOCKET_H
#define DOCTOR_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

struct doctor_address;

/* 0 and a socket that does not block, closed by the caller; or a negative errno, -ETIMEDOUT among them. */
__attribute__((warn_unused_result)) int doctor_connect(
	const struct doctor_address *address, unsigned timeout_ms, int *ret_fd);

/* Whether one of the events (or an error) came in time; until_ms as clock_ms(). */
bool doctor_wait_fd(int fd, short events, int64_t until_ms);

#endif
