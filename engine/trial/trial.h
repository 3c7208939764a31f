/* trial.h: tests of workflows (`bellwire test`): YAML files that say what comes in, what the steps get instead of the world outside, and what is
 * expected. They run on the engine's own dispatch, worker process and store, one after the other, at a time that stands still and jumps.
 *
 * file.c reads them, run.c drives them, outcome.c reads what came of it out of the store, match.c compares. Main thread. A test file owns its tests;
 * they borrow from its YAML tree. What is wrong with a file is reported with its place; what is wrong with a workflow fails its tests. */
#ifndef BW_TRIAL_TRIAL_H
#define BW_TRIAL_TRIAL_H
#include "base/json.h"
#include "base/yaml.h"
#include "config/config.h"
#include "wire/channel.h"

struct bw_trial_event {
    const struct bw_yaml_node *node;
    int64_t after_ms; /* from the beginning of the test */
    struct bw_slice name, source, workflow;
    struct bw_buf headers, body; /* JSON */
    bool is_trusted;
};
struct bw_trial_test {
    const struct bw_yaml_node *node;
    const char *file; /* its path */
    struct bw_slice name, workflow;
    struct bw_slice skip;                 /* why it is left out; empty: it is not */
    int64_t clock_ms, until_ms;           /* until: how long it goes on; 0 = to the end */
    struct bw_trial_event first, *events; /* in the order of their time */
    size_t event_count;
    json_t *mocks;                            /* as in BW_MSG_TRIAL */
    json_t *values;                           /* `config`: the test's, and those of the file that it does not name; NULL: none */
    const struct bw_yaml_node *mock_nodes[2]; /* where they are written: the test's, the file's; NULL = there are none */
    struct bw_yaml *recorded;                 /* those of `mocks_file`; NULL: there is none */
    char *recorded_file;                      /* its path */
    const struct bw_yaml_node *expect;
};
struct bw_trial_file {
    char *path;
    struct bw_yaml *yaml;
    char *workflow; /* what the file is called: for tests that name none */
    struct bw_trial_test *tests;
    size_t test_count;
};
/* NULL: errs says why; every fault of the file is reported. */
struct bw_trial_file *bw_trial_file_load(const char *path, struct bw_errors *errs);
struct bw_trial_file *bw_trial_file_parse(struct bw_slice text, const char *path, struct bw_errors *errs);
void bw_trial_file_free(struct bw_trial_file *file);

/* ---- what came of it ---- */
#define BW_TRIAL_MISMATCHES_MAX 20
struct bw_trial_mismatch {
    char what[200];               /* "steps.greet.output.text" */
    char expected[400], got[400]; /* JSON, cut */
    int line, column;             /* of what was expected */
};
struct bw_trial_result {
    struct bw_trial_mismatch mismatches[BW_TRIAL_MISMATCHES_MAX];
    size_t count, dropped; /* of mismatches */
    struct bw_error error; /* code set: it could not be run, or ended without a run */
    int64_t took_us;
    json_t *outcome; /* {state, steps, outputs, error, emitted, took}; NULL: there is none */
};
static inline bool bw_trial_passed(const struct bw_trial_result *result)
{
    return !result->count && !result->error.code[0];
}
/* Objects by the members that are expected, lists and all else whole; null expects that there is nothing. */
void bw_trial_match(const struct bw_yaml_node *expected, const json_t *got, const char *what, struct bw_trial_result *result);
/* All of `expect`, with what it leaves open: a run that succeeded. */
void bw_trial_judge(const struct bw_trial_test *test, struct bw_trial_result *result);

/* Does the catalogue (BW_MSG_CATALOG_LOADED) have the workflow and the steps that the test names? */
bool bw_trial_check_names(const struct bw_trial_test *test, const json_t *loaded, struct bw_error *err);

struct bw_trial_handlers {
    void *arg;
    void (*begin)(void *arg, const struct bw_trial_test *test);
    void (*trace)(void *arg, const struct bw_message *message, int64_t at_ms); /* BW_MSG_TRACE, at_ms from the beginning of the test */
    void (*end)(void *arg, const struct bw_trial_test *test, const struct bw_trial_result *result);
    void (*loaded)(void *arg, const json_t *loaded); /* BW_MSG_CATALOG_LOADED, before the first test */
};
/* The tests in their order, those that are skipped left out. False: they could not (all) be run, err says why. */
bool bw_trial_run(const struct bw_config *config, struct bw_trial_test *const *tests, size_t count, const struct bw_trial_handlers *handlers,
                  struct bw_error *err);
#endif
