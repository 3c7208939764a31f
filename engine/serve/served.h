/* served.h: the routes that are served, and those that a reload has prepared; and what bellwire.yaml says now that only a start reads. Main thread.
 */
#ifndef BW_SERVE_SERVED_H
#define BW_SERVE_SERVED_H
#include "serve/routes.h"

struct bw_served {
    const struct bw_config *config; /* with which the engine was started; borrowed */
    struct bw_router *prepared;     /* not served yet */
    struct bw_router *current;      /* what is served; NULL until then */
    struct bw_buf prepared_keys;    /* what has changed in bellwire.yaml and waits for a start, as it was read with `prepared` */
    struct bw_buf told_keys;        /* … and as it was last told */
};
/* What bellwire.yaml and the schemes themselves say: with an error in that nothing starts. Logs what is wrong. */
bool bw_served_check(const struct bw_config *config);
/* From the second time on bellwire.yaml is read again with the workflows: a secret may have another value now. So are the schemes. False: everything
 * that is wrong was added to errors, and what is served stays. */
bool bw_served_prepare(struct bw_served *served, const json_t *workflows, json_t *errors);
/* What was prepared is what is served from now on. Returns a reference for the listener. */
struct bw_router *bw_served_take(struct bw_served *served);
void bw_served_forget(struct bw_served *served); /* what was prepared, if it was not taken */
void bw_served_free(struct bw_served *served);   /* what is in it */
#endif
