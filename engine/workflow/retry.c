#include "workflow/retry.h"
#include "base/random.h"
#include "base/units.h"
#include <string.h>

#define ATTEMPTS_MAX 100
#define FACTOR_MAX 100
#define DELAY_MAX_MS (24LL * 3600 * 1000)
#define ELAPSED_MAX_MS (30LL * 24 * 3600 * 1000)
#define RETRY_AFTER_MAX_MS (3600 * 1000)

const struct bw_retry bw_retry_unset = {.attempts = -1, .delay_ms = -1, .max_delay_ms = -1, .max_elapsed_ms = -1, .factor = -1, .jitter = -1};
const struct bw_retry bw_retry_builtin = {.attempts = 6,
                                          .delay_ms = 2000,
                                          .max_delay_ms = 15 * 60 * 1000,
                                          .max_elapsed_ms = INT64_MAX,
                                          .factor = 5,
                                          .jitter = 0.5,
                                          .on = BW_RETRY_ON_TRANSIENT};

/* A list says how many there are, unless that stands beside it. */
static int32_t attempts_of(const struct bw_retry *retry)
{
    return retry->attempts < 0 && retry->wait_count ? retry->wait_count + 1 : retry->attempts;
}

void bw_retry_fill(struct bw_retry *retry, const struct bw_retry *otherwise)
{
    retry->attempts = attempts_of(retry);
    if (retry->attempts < 0) retry->attempts = retry->delay_ms < 0 ? attempts_of(otherwise) : otherwise->attempts;
    if (retry->delay_ms < 0) {
        retry->delay_ms = otherwise->delay_ms;
        retry->wait_count = otherwise->wait_count;
        memcpy(retry->waits_ms, otherwise->waits_ms, sizeof retry->waits_ms);
    }
    if (retry->max_delay_ms < 0) retry->max_delay_ms = otherwise->max_delay_ms;
    if (retry->max_elapsed_ms < 0) retry->max_elapsed_ms = otherwise->max_elapsed_ms;
    if (retry->factor < 0) retry->factor = otherwise->factor;
    if (retry->jitter < 0) retry->jitter = otherwise->jitter;
    if (retry->on != BW_RETRY_ON_UNSET) return;
    retry->on = otherwise->on;
    retry->codes = otherwise->codes;
    retry->code_count = otherwise->code_count;
}

static bool set_duration(int64_t *out, const char *key, const json_t *value, int64_t min_ms, int64_t max_ms, struct bw_error *err)
{
    struct bw_error inner;
    if (json_is_string(value) && bw_duration_parse(bw_json_slice(value), out, &inner) && *out >= min_ms && *out <= max_ms) return true;
    char longest[32];
    return bw_error_set(err, "retry.duration", "%s must be a duration such as 500ms, 30s or 5m, at most %s", key, bw_duration_text(max_ms, longest));
}

static bool set_waits(struct bw_retry *retry, const json_t *list, struct bw_error *err)
{
    size_t count = json_array_size(list);
    if (!count || count > BW_RETRY_WAITS_MAX) return bw_error_set(err, "retry.delay", "delay must list 1 to %d waits", BW_RETRY_WAITS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!set_duration(&retry->waits_ms[i], "each delay", json_array_get(list, i), 0, DELAY_MAX_MS, err)) return false;
    retry->wait_count = (uint8_t)count;
    retry->delay_ms = retry->waits_ms[0];
    return true;
}

static bool set_number(double *out, const char *key, const json_t *value, double min, double max, struct bw_error *err)
{
    if (json_is_number(value) && json_number_value(value) >= min && json_number_value(value) <= max) {
        *out = json_number_value(value);
        return true;
    }
    return bw_error_set(err, "retry.number", "%s must be a number from %g to %g", key, min, max);
}

bool bw_retry_set(struct bw_retry *retry, const char *key, const json_t *value, struct bw_error *err)
{
    if (!strcmp(key, "delay") && json_is_array(value)) return set_waits(retry, value, err);
    if (!strcmp(key, "delay")) return set_duration(&retry->delay_ms, key, value, 0, DELAY_MAX_MS, err);
    if (!strcmp(key, "max_delay")) return set_duration(&retry->max_delay_ms, key, value, 0, DELAY_MAX_MS, err);
    if (!strcmp(key, "max_elapsed")) return set_duration(&retry->max_elapsed_ms, key, value, 1, ELAPSED_MAX_MS, err);
    if (!strcmp(key, "factor")) return set_number(&retry->factor, key, value, 1, FACTOR_MAX, err);
    if (!strcmp(key, "jitter")) return set_number(&retry->jitter, key, value, 0, 1, err);
    if (!strcmp(key, "attempts")) {
        if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > ATTEMPTS_MAX)
            return bw_error_set(err, "retry.attempts", "attempts must be a whole number from 1 to %d: 1 is no retry", ATTEMPTS_MAX);
        retry->attempts = (int32_t)json_integer_value(value);
        return true;
    }
    bw_error_set(err, "retry.unknown", "there is no '%s' in retry", key);
    bw_error_hint(err, "known are attempts, delay, factor, max_delay, jitter and max_elapsed");
    return false;
}

bool bw_retry_matches(const struct bw_retry *retry, bool is_transient, struct bw_slice code)
{
    if (retry->on == BW_RETRY_ON_ANY) return true;
    if (retry->on != BW_RETRY_ON_CODES) return is_transient;
    for (size_t i = 0; i < retry->code_count; i++)
        if (bw_slice_equal(retry->codes[i], code)) return true;
    return false;
}

static double grown(const struct bw_retry *retry, uint32_t failed)
{
    double delay = (double)retry->delay_ms, most = (double)retry->max_delay_ms;
    if (most < delay) most = delay; /* `delay: 1h` alone means an hour, whatever the longest wait is that nobody wrote */
    for (uint32_t i = 1; i < failed && delay < most; i++) delay *= retry->factor;
    return delay > most ? most : delay;
}

int64_t bw_retry_delay_ms(const struct bw_retry *retry, uint32_t failed, int64_t retry_after_ms)
{
    uint32_t at = failed > retry->wait_count ? retry->wait_count : failed;
    double delay = at ? (double)retry->waits_ms[at - 1] : grown(retry, failed);
    if (retry_after_ms > RETRY_AFTER_MAX_MS) retry_after_ms = RETRY_AFTER_MAX_MS;
    delay *= 1 - retry->jitter * bw_random_unit();
    return delay < (double)retry_after_ms ? retry_after_ms : (int64_t)delay;
}
