/* lock.h: one writer per data folder. An exclusive flock on FOLDER/lock, held until the descriptor is closed, also by the kernel when
 * the process dies. The file says who holds it ("pid 4711 since 2026-11-23T12:00:00.000Z") and is never removed: removing it would
 * let two openers lock two different files of that name. Any thread. */
#ifndef BW_STORE_LOCK_H
#define BW_STORE_LOCK_H
#include "base/error.h"

int bw_lock_take(const char *folder, struct bw_error *err); /* a descriptor, or -1: "store.locked" names the holder, "store.folder" */
void bw_lock_release(int lock);                             /* -1 = none */
#endif
