#include "store/store.h"

struct named {
    int value;
    const char *name;
};
static const struct named outcomes[] = {
    {BW_OUTCOME_ACCEPTED, "accepted"},     {BW_OUTCOME_DUPLICATE, "duplicate"},       {BW_OUTCOME_HANDSHAKE, "handshake"},
    {BW_OUTCOME_UNVERIFIED, "unverified"}, {BW_OUTCOME_MALFORMED, "malformed"},       {BW_OUTCOME_TOO_LARGE, "too_large"},
    {BW_OUTCOME_BAD_TYPE, "bad_type"},     {BW_OUTCOME_BAD_METHOD, "bad_method"},     {BW_OUTCOME_UNKNOWN_PATH, "unknown_path"},
    {BW_OUTCOME_OVERLOADED, "overloaded"}, {BW_OUTCOME_RATE_LIMITED, "rate_limited"}, {BW_OUTCOME_FORBIDDEN, "forbidden"},
    {BW_OUTCOME_INVALID, "invalid"},
};
static const struct named run_states[] = {
    {BW_RUN_BLOCKED, "blocked"},     {BW_RUN_ACTIVE, "active"},       {BW_RUN_PARKED, "parked"},
    {BW_RUN_DELAYED, "delayed"},     {BW_RUN_SUCCEEDED, "succeeded"}, {BW_RUN_FAILED, "failed"},
    {BW_RUN_CANCELLED, "cancelled"}, {BW_RUN_SKIPPED, "skipped"},     {BW_RUN_HELD, "held"},
};
static const struct named step_states[] = {
    {BW_STEP_RETRYING, "retrying"}, {BW_STEP_WAITING, "waiting"},     {BW_STEP_STARTED, "started"}, {BW_STEP_SUCCEEDED, "succeeded"},
    {BW_STEP_FAILED, "failed"},     {BW_STEP_CANCELLED, "cancelled"}, {BW_STEP_SKIPPED, "skipped"}, {BW_STEP_UNKNOWN, "unknown"},
};
static const struct named wake_kinds[] = {
    {BW_WAKE_NONE, "none"},   {BW_WAKE_TIMER, "timer"},   {BW_WAKE_EVENT, "event"},       {BW_WAKE_VOTE, "vote"},
    {BW_WAKE_CHILD, "child"}, {BW_WAKE_CANCEL, "cancel"}, {BW_WAKE_OPERATOR, "operator"},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *name_of(const struct named *table, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].value == value) return table[i].name;
    return "?";
}

const char *bw_outcome_name(enum bw_outcome outcome)
{
    return name_of(outcomes, COUNT(outcomes), (int)outcome);
}

const char *bw_run_state_name(enum bw_run_state state)
{
    return name_of(run_states, COUNT(run_states), (int)state);
}

const char *bw_step_state_name(enum bw_step_state state)
{
    return name_of(step_states, COUNT(step_states), (int)state);
}

const char *bw_wake_kind_name(enum bw_wake_kind kind)
{
    return name_of(wake_kinds, COUNT(wake_kinds), (int)kind);
}

int bw_run_state_parse(struct bw_slice name)
{
    for (size_t i = 0; i < COUNT(run_states); i++)
        if (bw_slice_is(name, run_states[i].name)) return run_states[i].value;
    return -1;
}
