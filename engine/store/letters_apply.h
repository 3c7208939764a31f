/* letters_apply.h: the writer's side of letters.h. Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_LETTERS_APPLY_H
#define BW_STORE_LETTERS_APPLY_H
#include "store/letters.h"
#include "store/parking.h"

struct bw_letter_found { /* the run, before anything is done about it */
    int64_t id, event_id;
    int state, resolved;
    char workflow[80];
    uint8_t version[32];
    uint32_t revision;
    char error[80]; /* its code, for the audit */
    bool is_child, is_alone, has_event;
    struct bw_uid parent;
};

bool bw_letters_apply(struct bw_parking *parking, struct bw_letters *letters, struct bw_error *err);
/* A run that has ended is active again, and bw_admission_again() is to follow; what it has not finished is run once more. */
bool bw_letters_revive(struct bw_parking *parking, int64_t run_id, int64_t now_ms, struct bw_error *err);
bool bw_letter_refuse(struct bw_letter *letter, const char *code, const char *message, const char *hint); /* true */
bool bw_letter_audit(struct bw_parking *parking, const struct bw_letters *letters, struct bw_uid run, const char *verb, const char *detail,
                     struct bw_error *err);

/* ---- resolve.c ---- */
/* Refuses the letter when a step of the run, or of those that it would take up again, is unknown. */
bool bw_letter_check_unknown(struct bw_parking *parking, struct bw_letter *letter, int64_t run_id, struct bw_error *err);
bool bw_letter_refuse_unknown(struct bw_letter *letter, struct bw_uid owner, struct bw_slice path);                            /* true */
bool bw_letter_step_state(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int *state, struct bw_error *err); /* 0: no row */
/* Writes what is known of the step now; the run stays as it is. */
bool bw_letter_resolve(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                       struct bw_error *err);
#endif
