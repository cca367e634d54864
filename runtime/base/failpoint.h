/*
 * failpoint.h - places where a test build can be told to die: FAILPOINT=name:N in its environment kills the
 * process (SIGKILL) when it passes that place for the Nth time. In the product's build they are nothing at
 * all.
 *
 * The places, in the order in which a command passes them: command_read, before_handler, after_effect,
 * before_event, event_acknowledged, before_acknowledgement, after_acknowledgement. A schedule's run passes schedule_begun,
 * schedule_parked, before_handler, after_effect, schedule_ended.
 */
#ifndef FAILPOINT_H
#define FAILPOINT_H

#ifdef CASHEW_FAILPOINTS
void failpoint(const char *name);
/* From here on no place kills: it is the first host only that is told to die. */
void failpoint_disarm(void);
#else
#define failpoint(name)	   ((void)0)
#define failpoint_disarm() ((void)0)
#endif

#endif
