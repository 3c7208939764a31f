#include "dispatch/limiter.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One limit under one key. */
struct gate {
    TAILQ_ENTRY(gate) link; /* in the limiter's list of those with a line */
    const struct bw_limit_rule *rule;
    char *name; /* name, NUL, key */
    size_t name_len, len;
    double free_us; /* GCRA: the theoretical arrival time */
    int64_t paused_us;
    unsigned in_use;
    bool is_listed, is_changed;
    TAILQ_HEAD(, bw_permit) line;
};
struct bw_permit {
    TAILQ_ENTRY(bw_permit) link; /* in the line, or among the given */
    struct gate *gate;
    double cost;
    void *owner;
    bool is_given;
};
struct bw_limiter {
    struct bw_map *rules, *gates;
    TAILQ_HEAD(, gate) listed;
    TAILQ_HEAD(, bw_permit) given;
};

struct bw_limiter *bw_limiter_new(void)
{
    struct bw_limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter) return NULL;
    TAILQ_INIT(&limiter->listed);
    TAILQ_INIT(&limiter->given);
    limiter->rules = bw_map_new();
    limiter->gates = bw_map_new();
    if (limiter->rules && limiter->gates) return limiter;
    bw_limiter_free(limiter);
    return NULL;
}

static void free_gate(void *data)
{
    struct gate *gate = data;
    struct bw_permit *permit;
    while ((permit = TAILQ_FIRST(&gate->line))) {
        TAILQ_REMOVE(&gate->line, permit, link);
        free(permit);
    }
    free(gate->name);
    free(gate);
}

void bw_limiter_free(struct bw_limiter *limiter)
{
    struct bw_permit *permit;
    if (!limiter) return;
    while ((permit = TAILQ_FIRST(&limiter->given))) {
        TAILQ_REMOVE(&limiter->given, permit, link);
        free(permit);
    }
    if (limiter->gates) bw_map_free(limiter->gates, free_gate);
    if (limiter->rules) bw_map_free(limiter->rules, free);
    free(limiter);
}

bool bw_limiter_add(struct bw_limiter *limiter, struct bw_slice name, const struct bw_limit_rule *rule)
{
    struct bw_limit_rule *kept = malloc(sizeof *kept);
    if (!kept) return false;
    *kept = *rule;
    if (kept->burst < 1) kept->burst = 1;
    if (bw_map_set(limiter->rules, name, kept)) return true;
    free(kept);
    return false;
}

static struct gate *find_gate(struct bw_limiter *limiter, struct bw_slice name, struct bw_slice key)
{
    const struct bw_limit_rule *rule = bw_map_get(limiter->rules, name);
    struct gate *gate;
    size_t len = name.len + 1 + key.len;
    char *both = rule ? malloc(len + 1) : NULL;
    if (!both) return NULL;
    memcpy(both, name.ptr, name.len);
    both[name.len] = '\0';
    if (key.len) memcpy(both + name.len + 1, key.ptr, key.len);
    both[len] = '\0';
    if ((gate = bw_map_get(limiter->gates, (struct bw_slice){both, len})) || !(gate = calloc(1, sizeof *gate))) {
        free(both);
        return gate;
    }
    *gate = (struct gate){.rule = rule, .name = both, .name_len = name.len, .len = len};
    TAILQ_INIT(&gate->line);
    if (bw_map_set(limiter->gates, (struct bw_slice){both, len}, gate)) return gate;
    free_gate(gate);
    return NULL;
}

static void list(struct bw_limiter *limiter, struct gate *gate)
{
    bool has_line = !TAILQ_EMPTY(&gate->line);
    if (has_line == gate->is_listed) return;
    gate->is_listed = has_line;
    if (has_line)
        TAILQ_INSERT_TAIL(&limiter->listed, gate, link);
    else
        TAILQ_REMOVE(&limiter->listed, gate, link);
}

struct bw_permit *bw_limiter_ask(struct bw_limiter *limiter, struct bw_slice name, struct bw_slice key, double cost, void *owner)
{
    struct gate *gate = find_gate(limiter, name, key);
    struct bw_permit *permit = gate ? calloc(1, sizeof *permit) : NULL;
    if (!permit) return NULL;
    *permit = (struct bw_permit){.gate = gate, .cost = cost > 0 ? cost : 0, .owner = owner};
    TAILQ_INSERT_TAIL(&gate->line, permit, link);
    list(limiter, gate);
    return permit;
}

/* When the first in line may begin as far as the rate goes; now or earlier = at once. */
static double due_of(const struct gate *gate, double cost, int64_t now_us)
{
    double due = (double)gate->paused_us;
    if (!gate->rule->period_us) return due;
    double each_us = (double)gate->rule->period_us / gate->rule->count, burst = cost > gate->rule->burst ? cost : gate->rule->burst;
    double begin = gate->free_us > (double)now_us ? gate->free_us : (double)now_us, by_rate = begin + (cost - burst) * each_us;
    return by_rate > due ? by_rate : due;
}

static void give(struct bw_limiter *limiter, struct gate *gate, struct bw_permit *permit, int64_t now_us)
{
    TAILQ_REMOVE(&gate->line, permit, link);
    TAILQ_INSERT_TAIL(&limiter->given, permit, link);
    permit->is_given = true;
    gate->in_use++;
    if (gate->rule->period_us) {
        double begin = gate->free_us > (double)now_us ? gate->free_us : (double)now_us;
        gate->free_us = begin + permit->cost * (double)gate->rule->period_us / gate->rule->count;
        gate->is_changed = true;
    }
    list(limiter, gate);
    if (gate->is_listed) { /* the others get their turn */
        TAILQ_REMOVE(&limiter->listed, gate, link);
        TAILQ_INSERT_TAIL(&limiter->listed, gate, link);
    }
}

struct bw_permit *bw_limiter_next(struct bw_limiter *limiter, int64_t now_us, int64_t *due_us)
{
    struct gate *gate;
    *due_us = -1;
    TAILQ_FOREACH(gate, &limiter->listed, link)
    {
        struct bw_permit *permit = TAILQ_FIRST(&gate->line);
        if (gate->rule->at_once && gate->in_use >= gate->rule->at_once) continue;
        double due = due_of(gate, permit->cost, now_us);
        if (due <= (double)now_us) {
            give(limiter, gate, permit, now_us);
            return permit;
        }
        if (*due_us < 0 || due < (double)*due_us) *due_us = (int64_t)due + 1;
    }
    return NULL;
}

void *bw_permit_owner(const struct bw_permit *permit)
{
    return permit->owner;
}
bool bw_permit_is_given(const struct bw_permit *permit)
{
    return permit->is_given;
}

void bw_permit_back(struct bw_limiter *limiter, struct bw_permit *permit)
{
    struct gate *gate = permit->gate;
    if (permit->is_given) {
        TAILQ_REMOVE(&limiter->given, permit, link);
        gate->in_use--;
    } else {
        TAILQ_REMOVE(&gate->line, permit, link);
        list(limiter, gate);
    }
    free(permit);
}

void bw_permit_pause(struct bw_permit *permit, int64_t until_us)
{
    struct gate *gate = permit->gate;
    if (until_us <= gate->paused_us) return;
    gate->paused_us = until_us;
    gate->is_changed = true;
}

void bw_limiter_owed(struct bw_limiter *limiter, int64_t now_us, int64_t least_us, bw_limit_visit *visit, void *arg)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    while (bw_map_next(limiter->gates, &position, &key, &value)) {
        struct gate *gate = value;
        int64_t free_us = (int64_t)gate->free_us;
        if (!gate->is_changed || (free_us - now_us < least_us && gate->paused_us - now_us < least_us)) continue;
        gate->is_changed = false;
        visit(arg, &(struct bw_limit_debt){
                       {gate->name, gate->name_len}, {gate->name + gate->name_len + 1, gate->len - gate->name_len - 1}, free_us, gate->paused_us});
    }
}

void bw_limiter_owe(struct bw_limiter *limiter, const struct bw_limit_debt *debt)
{
    struct gate *gate = find_gate(limiter, debt->name, debt->key);
    if (!gate) return; /* no limit of that name any more */
    if ((double)debt->free_us > gate->free_us) gate->free_us = (double)debt->free_us;
    if (debt->paused_us > gate->paused_us) gate->paused_us = debt->paused_us;
}

void bw_limiter_sweep(struct bw_limiter *limiter, int64_t now_us)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    for (size_t removed = 0; removed < 1000 && bw_map_next(limiter->gates, &position, &key, &value);) {
        struct gate *gate = value;
        if (gate->in_use || gate->is_listed || gate->free_us > (double)now_us || gate->paused_us > now_us) continue;
        bw_map_remove(limiter->gates, key);
        free_gate(gate);
        removed++;
    }
}

size_t bw_limiter_keys(const struct bw_limiter *limiter)
{
    return bw_map_count(limiter->gates);
}
