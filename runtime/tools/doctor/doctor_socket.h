/* doctor_socket.h - sockets of the doctor's checks, whose waits end in time. */
#ifndef DOCTOR_SOCKET_H
#define DOCTOR_SOCKET_H

#include "doctor.h"
#include <stdbool.h>
#include <stdint.h>

/* 0 and a socket that does not block, closed by the caller; or a negative errno, -ETIMEDOUT among them. */
__attribute__((warn_unused_result)) int doctor_connect(
	const struct doctor_address *address, unsigned timeout_ms, int *ret_fd);

/* The same for the broker that is used, through the proxy where there is one; the reason in words. doctor_proxy.c. */
__attribute__((warn_unused_result)) int doctor_reach(
	const struct doctor *doctor, int *ret_fd, char reason[static DOCTOR_TEXT_SIZE]);

/* Whether one of the events (or an error) came in time; until_ms as clock_ms(). */
bool doctor_wait_fd(int fd, short events, int64_t until_ms);

#endif
