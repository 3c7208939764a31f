/* test_report.h: what came of tests, for people (as they end) and for programs: TAP 14, JUnit's XML, JSON lines. */
#ifndef BW_CMD_TEST_REPORT_H
#define BW_CMD_TEST_REPORT_H
#include "trial/trial.h"

enum bw_test_format { BW_TEST_PRETTY, BW_TEST_TAP, BW_TEST_JUNIT, BW_TEST_JSON };
enum bw_test_state { BW_TEST_NOT_RUN, BW_TEST_PASSED, BW_TEST_FAILED, BW_TEST_SKIPPED };
struct bw_test_verdict {
    const struct bw_trial_test *test;
    enum bw_test_state state;
    int64_t took_us;
    struct bw_buf details; /* FAILED: places, what was expected and what came */
    struct bw_buf trace;   /* FAILED: what the run did, a line each */
};
/* Fills state, took_us and details. */
void bw_test_verdict_set(struct bw_test_verdict *verdict, const struct bw_trial_result *result);
void bw_test_report_begin(enum bw_test_format format, size_t count);
void bw_test_report_one(enum bw_test_format format, const struct bw_test_verdict *verdict, size_t number, bool is_terminal); /* from 1, in order */
void bw_test_report_end(enum bw_test_format format, const struct bw_test_verdict *verdicts, size_t count);
#endif
