/* One source, many threads: every listener judges by the same immutable source. Run under the thread sanitizer as well. */
#include "source_fixture.h"
#include <pthread.h>

#define THREADS 6
#define ROUNDS 150

static const char body[] = "{\"type\":\"a\\u0062c\"}"; /* an escape: every judgement writes into its scratch */

struct job {
    const struct bw_source *source;
    char good[300], bad[300];
    size_t wrong;
};

static void *judge_often(void *data)
{
    struct job *job = data;
    struct bw_buf scratch = {0};
    for (size_t i = 0; i < ROUNDS; i++) {
        const struct bw_judgement good = judge_at(job->source, bw_slice_of(job->good), bw_slice_of(body), NOW_MS, &scratch);
        job->wrong += good.verdict != BW_VERIFIED || !bw_slice_is(good.event, "abc") || !bw_slice_is(good.delivery_id, "msg_1");
        job->wrong += judge_at(job->source, bw_slice_of(job->bad), bw_slice_of(body), NOW_MS, &scratch).verdict != BW_REFUSED;
    }
    bw_buf_free(&scratch);
    return NULL;
}

static void test_threads_may_judge_by_one_source_at_once(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct job jobs[THREADS];
    pthread_t threads[THREADS];
    char mac[64], message[100];
    add_secret(&fixture, "signing_secret", BW_SLICE("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
    open_source(&fixture, "standard-webhooks");
    base64_mac("0123456789abcdef0123456789abcdef", 32, format(message, sizeof message, "msg_1.1760000000.%s", body), mac);
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.source = fixture.source};
        format(jobs[i].good, sizeof jobs[i].good,
               "content-type: application/json\nwebhook-id: msg_1\nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", mac);
        format(jobs[i].bad, sizeof jobs[i].bad,
               "content-type: application/json\nwebhook-id: msg_2\nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", mac);
        assert_int_equal(pthread_create(&threads[i], NULL, judge_often, &jobs[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(jobs[i].wrong, 0);
    }
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_may_judge_by_one_source_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
