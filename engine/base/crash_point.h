/* crash_point.h: named places where a test can make the process die as if by SIGKILL: BELLWIRE_CRASH=store.before_commit:3 in the
 * environment ends it with _exit(137) at the third hit of that point, *:3 at the third hit of any. Compiled to nothing without BELLWIRE_TEST_HOOKS.
 * Any thread. */
#ifndef BW_BASE_CRASH_POINT_H
#define BW_BASE_CRASH_POINT_H

#ifdef BELLWIRE_TEST_HOOKS
void bw_crash_point_hit(const char *name);
#define BW_CRASH_POINT(name) bw_crash_point_hit(name)
/* BELLWIRE_CRASH_STEP=PATH ends a run worker by SIGKILL each time that it enters code of that step, PATH~ each time that it has left it. */
void bw_crash_step_hit(const char *path, const char *when);
#define BW_CRASH_STEP(path, when) bw_crash_step_hit(path, when)
#else
#define BW_CRASH_POINT(name) ((void)0)
#define BW_CRASH_STEP(path, when) ((void)0)
#endif
#endif
