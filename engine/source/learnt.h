/* learnt.h: secrets that senders hand over by themselves, and when they may: what the store has of that (store/handovers.h), in memory.
 *
 * Some senders (Asana, Notion) choose the secret themselves and say it in their first request. Whoever comes first could say one; so it is taken only
 * while a window is open that an operator has opened for the source, and the first one stays until an operator lets it be forgotten. The store
 * decides. What is here is what it has decided, told in the order of its commits before anybody is answered, and read by whoever judges a request.
 *
 * THREADS: any; all functions may be called at the same time. Values are wiped when they are forgotten. */
#ifndef BW_SOURCE_LEARNT_H
#define BW_SOURCE_LEARNT_H
#include "base/buf.h"
#include <stdint.h>

#define BW_LEARNT_BYTES_MAX 512 /* of such a secret */

struct bw_learnt;
struct bw_learnt_facts {   /* of one source */
    int64_t open_until_ms; /* wall clock; 0: no window was opened, or it was closed */
    int64_t learnt_ms;     /* 0: there is no secret */
    size_t len;
    char secret[BW_LEARNT_BYTES_MAX]; /* wipe it after use */
};
struct bw_learnt *bw_learnt_new(void);
void bw_learnt_free(struct bw_learnt *learnt);
/* Makes room for a source: from then on setting something of it cannot fail. False: no memory. */
bool bw_learnt_reserve(struct bw_learnt *learnt, const char *source);
void bw_learnt_set_window(struct bw_learnt *learnt, const char *source, int64_t until_ms);
/* name: what the scheme calls the secret. One of BW_LEARNT_BYTES_MAX bytes at most. */
void bw_learnt_set_secret(struct bw_learnt *learnt, const char *source, const char *name, struct bw_slice value, int64_t now_ms);
void bw_learnt_forget(struct bw_learnt *learnt, const char *source); /* the secret; the window stays as it is */
/* What is known for a source whose scheme calls the secret so: one that was learnt under another scheme is none of this one. learnt may be NULL. */
void bw_learnt_find(struct bw_learnt *learnt, const char *source, const char *name, struct bw_learnt_facts *out);
#endif
