/* priorities.h: of the events of a loop. Those of a priority are served only while none of the ones before it are waiting; libevent gives an event
 * the middle one unless it is told. */
#ifndef BW_INGEST_PRIORITIES_H
#define BW_INGEST_PRIORITIES_H
#define BW_PRIORITIES 3
#define BW_PRIORITY_IDLE 2 /* nobody else wants the thread */
#endif
