/* internal.h: what the files of this room share. */
#ifndef BW_TRIAL_INTERNAL_H
#define BW_TRIAL_INTERNAL_H
#include "store/store.h"
#include "trial/trial.h"

/* ---- file.c, answers.c ---- */
struct bw_trial_reader { /* of one file */
    const char *path;
    struct bw_errors *errs;
};
void bw_trial_error(const struct bw_trial_reader *reader, const struct bw_yaml_node *at, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Is it a map, and are all of its keys among these? known: names between spaces. Faults are reported. */
bool bw_trial_check_map(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const char *where, const char *known);
bool bw_trial_read_duration(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const char *key, int64_t *out_ms);
json_t *bw_trial_value(const struct bw_yaml_node *node); /* new reference */
/* Adds what a `mocks` says to `mocks`. */
void bw_trial_read_mocks(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, json_t *mocks);
void bw_trial_check_expect(const struct bw_trial_reader *reader, const struct bw_yaml_node *expect);

/* ---- outcome.c ---- */
/* What the store has of a test that began with this event. inputs: {run: {step: what it was given}}. workflow: the one under test. */
json_t *bw_trial_outcome(struct bw_reader *reader, int64_t first_event, struct bw_slice workflow, const json_t *inputs, struct bw_error *err);
#endif
