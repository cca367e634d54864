/* cashewd_doctor.h - `cashewd doctor`: checks what the host stands on, without disturbing a running one. */
#ifndef CASHEWD_DOCTOR_H
#define CASHEWD_DOCTOR_H

/* values[0] is "doctor"; forget_secrets: called once the settings are read. Returns the exit code. The
 * process is hardened already. */
int cashewd_doctor(int count, char **values, void (*forget_secrets)(void));

#endif
