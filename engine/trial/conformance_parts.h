/* conformance_parts.h: what the files of the kit share. */
#ifndef BW_TRIAL_CONFORMANCE_PARTS_H
#define BW_TRIAL_CONFORMANCE_PARTS_H
#include "plugin/settings.h"
#include "trial/conformance.h"
#include "trial/plugin_session.h"

struct bw_kit { /* one run of it */
    const struct bw_conformance_options *options;
    struct bw_plugin_session *session; /* NULL: there is none now */
    json_t *manifest;
    struct bw_settings settings;
    unsigned extra_answers; /* of the sessions before this one */
    size_t failed;
};
struct bw_kit_action { /* what is tried */
    const json_t *manifest;
    const char *name;
    const json_t *fields, *outputs;
    json_t *examples;     /* [{with, error?, slow?, is_made?}] */
    json_t *slow;         /* an input that takes long; NULL: none is known */
    json_t *secrets;      /* NAME → value */
    int64_t heartbeat_ms; /* 0: it has none */
    bool is_harmless;     /* it may be called as often as one likes */
};

/* conformance.c. The check that is begun is reported by the one of these that ends it. */
struct bw_conformance_check bw_kit_check(const char *name, const char *action, const char *wants);
void bw_kit_pass(struct bw_kit *kit, struct bw_conformance_check *check, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_kit_skip(struct bw_kit *kit, struct bw_conformance_check *check, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_kit_fail(struct bw_kit *kit, struct bw_conformance_check *check, const char *cure, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A process that is initialised, if there is none. False: the check has failed for that, with this cure. */
bool bw_kit_open(struct bw_kit *kit, struct bw_conformance_check *check, const char *cure);
void bw_kit_close(struct bw_kit *kit);                                    /* at once: it is of no more use */
void bw_kit_append_end(const struct bw_kit *kit, char *out, size_t size); /* how the process has ended */
/* conformance_calls.c */
void bw_kit_try_action(struct bw_kit *kit, struct bw_kit_action *action);
#endif
