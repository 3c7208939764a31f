/* letters.h: the dead letter (store/letters.h) by hand: what a command asks for, under the workflows that are there now. The same rooms and
 * processes as `serve`: with a catalogue, one worker loads it and it is stored as `serve` would store it. */
#ifndef BW_SERVE_LETTERS_H
#define BW_SERVE_LETTERS_H
#include "config/config.h"
#include "dispatch/dispatch.h"
#include "store/letters.h"

/* The current revision's workflows, as an operation of the store wants them. */
struct bw_letter_catalog {
    struct bw_letter_workflow *workflows;
    size_t count;
    uint32_t revision;
    json_t *json; /* where the names are */
};
bool bw_letter_catalog_make(struct bw_letter_catalog *catalog, const struct bw_dispatch *dispatch, struct bw_error *err);
void bw_letter_catalog_free(struct bw_letter_catalog *catalog);
void bw_letter_catalog_apply(const struct bw_letter_catalog *catalog, struct bw_letters *letters); /* they are done under it */

/* Without a serving engine: takes the data folder for itself ("store.locked": somebody else has it). */
struct bw_letter_desk;
struct bw_letter_desk *bw_letter_desk_open(const struct bw_config *config, bool with_catalog, struct bw_error *err);
bool bw_letter_desk_do(struct bw_letter_desk *desk, struct bw_letters *letters, struct bw_error *err); /* one transaction; synced when it returns */
void bw_letter_desk_close(struct bw_letter_desk *desk);
#endif
