/* Named places where a test can have the process killed: `souk_fault_point("orders.place.commit")`.
 *
 * Compiled in by the CMake option SOUK_FAULT_POINTS (every build but release). SOUK_FAULT=NAME[:N]
 * in the environment: the process sends itself SIGKILL at its N-th passage of NAME (1 when not
 * given). With SOUK_FAULT_FILE=PATH only whoever manages to create that file does so: a killed
 * process that is started again survives, and a test sees that the place was reached. With
 * SOUK_FAULT_STOP in the environment it is SIGSTOP instead, so that others can be killed while the
 * process stands at the place; SIGCONT lets it go on. */
#ifndef RUNTIME_FAULT_POINT_H
#define RUNTIME_FAULT_POINT_H

#ifdef SOUK_FAULT_POINTS
#define souk_fault_point(name) souk_fault_reach(name)
/* Any thread. */
void souk_fault_reach(const char *name);
#else
#define souk_fault_point(name) ((void)0)
#endif

#endif
