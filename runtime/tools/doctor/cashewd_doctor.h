/* cashewd_doctor.h - `cashewd doctor`: checks what the host stands on, without disturbing a running one. */
#ifndef CASHEWD_DOCTOR_H
#define CASHEWD_DOCTOR_H

/* values[0] is "doctor"; handlers: those built in, ended by NULL; forget_secrets: called once the settings are read. Returns the exit code. The
 * process is hardened already. */
struct cashew_handler;
int cashewd_doctor(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void));

#endif
