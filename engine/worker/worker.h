/* worker.h: the run worker process: interprets runs. It receives events with their catalogue revision over fd 3 (wire/messages.h), evaluates
 * triggers, walks steps as coroutines on one event loop, and reports results in batches. It holds nothing that cannot be lost: killed at any moment,
 * its events are given to the next worker with what was recorded, under the same identities and keys. Single-threaded. */
#ifndef BW_WORKER_WORKER_H
#define BW_WORKER_WORKER_H
int bw_worker_main(void); /* the whole process: channel on fd 3, flight page on fd 4; returns the exit status */
#endif
