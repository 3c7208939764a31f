#include "dispatch/limiter.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One limit under one key. */
struct gate {
    size_t place;  /* in limiter->heap, plus one; 0 = not there: nobody could begin, whatever the time */
    double due_us; /* when the first in line may */
    uint64_t turn; /* among those that are due at the same time */
    const struct bw_limit_rule *rule;
    char *name; /* name, NUL, key */
    size_t name_len, len;
    double free_us; /* GCRA: the theoretical arrival time */
    int64_t paused_us;
    unsigned in_use;
    bool is_changed;
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
    struct gate **heap; /* whose turn is next first; room for all gates */
    size_t heap_count, heap_room;
    uint64_t turns;
    TAILQ_HEAD(, bw_permit) given;
};

struct bw_limiter *bw_limiter_new(void)
{
    struct bw_limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter) return NULL;
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
    free(limiter->heap);
    free(limiter);
}

/* ---- whose turn it is ---- */

static bool is_before(const struct gate *gate, const struct gate *other)
{
    return gate->due_us < other->due_us || (gate->due_us == other->due_us && gate->turn < other->turn);
}

static void put(struct bw_limiter *limiter, size_t place, struct gate *gate)
{
    limiter->heap[place] = gate;
    gate->place = place + 1;
}

/* To where it belongs, from a place that is free. */
static void sift(struct bw_limiter *limiter, size_t place, struct gate *gate)
{
    struct gate **heap = limiter->heap;
    for (; place && is_before(gate, heap[(place - 1) / 2]); place = (place - 1) / 2) put(limiter, place, heap[(place - 1) / 2]);
    for (size_t child; (child = 2 * place + 1) < limiter->heap_count; place = child) {
        if (child + 1 < limiter->heap_count && is_before(heap[child + 1], heap[child])) child++;
        if (!is_before(heap[child], gate)) break;
        put(limiter, place, heap[child]);
    }
    put(limiter, place, gate);
}

static void take_out(struct bw_limiter *limiter, struct gate *gate)
{
    struct gate *last = limiter->heap[limiter->heap_count - 1];
    size_t place = gate->place - 1;
    limiter->heap_count--;
    gate->place = 0;
    if (last != gate) sift(limiter, place, last);
}

/* When the first in line may begin as far as rate and pause go. A cost above the burst waits until nothing is owed. */
static double due_of(const struct gate *gate, double cost)
{
    double due = (double)gate->paused_us, burst = cost > gate->rule->burst ? cost : gate->rule->burst;
    if (!gate->rule->period_us) return due;
    double by_rate = gate->free_us - (burst - cost) * (double)gate->rule->period_us / gate->rule->count;
    return by_rate > due ? by_rate : due;
}

/* Something of it has changed: its line, its debt, how many are under way. */
static void settle(struct bw_limiter *limiter, struct gate *gate)
{
    const struct bw_permit *first = TAILQ_FIRST(&gate->line);
    bool waits = first && (!gate->rule->at_once || gate->in_use < gate->rule->at_once);
    if (!waits) {
        if (gate->place) take_out(limiter, gate);
        return;
    }
    gate->due_us = due_of(gate, first->cost);
    if (!gate->place) gate->turn = ++limiter->turns;
    sift(limiter, gate->place ? gate->place - 1 : limiter->heap_count++, gate);
}

/* ---- rules ---- */

static double cost_us(const struct bw_limit_rule *rule)
{
    return rule->period_us ? (double)rule->period_us / rule->count : 0;
}

/* So much time to come stands for a cost, which takes another time now. */
static void change_rule(struct bw_limiter *limiter, const struct bw_limit_rule *rule, double before_us, int64_t now_us)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    while (bw_map_next(limiter->gates, &position, &key, &value)) {
        struct gate *gate = value;
        double owed_us = gate->free_us - (double)now_us;
        if (gate->rule != rule) continue;
        if (owed_us > 0) gate->free_us = (double)now_us + (before_us > 0 ? owed_us * cost_us(rule) / before_us : 0);
        gate->is_changed = true;
        settle(limiter, gate);
    }
}

bool bw_limiter_set(struct bw_limiter *limiter, struct bw_slice name, const struct bw_limit_rule *rule, int64_t now_us)
{
    struct bw_limit_rule *kept = bw_map_get(limiter->rules, name), *added = kept ? NULL : calloc(1, sizeof *added);
    if (added && !bw_map_set(limiter->rules, name, added)) {
        free(added);
        return false;
    }
    if (!kept && !(kept = added)) return false;
    double before_us = cost_us(kept);
    *kept = *rule;
    if (kept->burst < 1) kept->burst = 1;
    change_rule(limiter, kept, before_us, now_us);
    return true;
}

/* ---- gates ---- */

/* The heap never has to grow while permits are given. */
static bool make_room(struct bw_limiter *limiter)
{
    if (bw_map_count(limiter->gates) < limiter->heap_room) return true;
    size_t room = limiter->heap_room ? limiter->heap_room * 2 : 16;
    struct gate **grown = realloc(limiter->heap, room * sizeof *grown);
    if (!grown) return false;
    limiter->heap = grown;
    limiter->heap_room = room;
    return true;
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
    if ((gate = bw_map_get(limiter->gates, (struct bw_slice){both, len})) || !make_room(limiter) || !(gate = calloc(1, sizeof *gate))) {
        free(both);
        return gate;
    }
    *gate = (struct gate){.rule = rule, .name = both, .name_len = name.len, .len = len};
    TAILQ_INIT(&gate->line);
    if (bw_map_set(limiter->gates, (struct bw_slice){both, len}, gate)) return gate;
    free_gate(gate);
    return NULL;
}

struct bw_permit *bw_limiter_ask(struct bw_limiter *limiter, struct bw_slice name, struct bw_slice key, double cost, void *owner)
{
    struct gate *gate = find_gate(limiter, name, key);
    struct bw_permit *permit = gate ? calloc(1, sizeof *permit) : NULL;
    if (!permit) return NULL;
    *permit = (struct bw_permit){.gate = gate, .cost = cost > 0 ? cost : 0, .owner = owner};
    TAILQ_INSERT_TAIL(&gate->line, permit, link);
    settle(limiter, gate);
    return permit;
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
    gate->turn = ++limiter->turns; /* the others get theirs */
    settle(limiter, gate);
}

struct bw_permit *bw_limiter_next(struct bw_limiter *limiter, int64_t now_us, int64_t *due_us)
{
    struct gate *gate = limiter->heap_count ? limiter->heap[0] : NULL;
    *due_us = -1;
    if (!gate) return NULL;
    if (gate->due_us > (double)now_us) {
        *due_us = (int64_t)gate->due_us + 1;
        return NULL;
    }
    struct bw_permit *permit = TAILQ_FIRST(&gate->line);
    give(limiter, gate, permit, now_us);
    return permit;
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
    }
    settle(limiter, gate);
    free(permit);
}

void bw_permit_pause(struct bw_limiter *limiter, struct bw_permit *permit, int64_t until_us)
{
    struct gate *gate = permit->gate;
    if (until_us <= gate->paused_us) return;
    gate->paused_us = until_us;
    gate->is_changed = true;
    settle(limiter, gate);
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
    settle(limiter, gate);
}

void bw_limiter_sweep(struct bw_limiter *limiter, int64_t now_us)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    for (size_t removed = 0; removed < 1000 && bw_map_next(limiter->gates, &position, &key, &value);) {
        struct gate *gate = value;
        if (gate->in_use || !TAILQ_EMPTY(&gate->line) || gate->free_us > (double)now_us || gate->paused_us > now_us) continue;
        bw_map_remove(limiter->gates, key);
        free_gate(gate);
        removed++;
    }
}

size_t bw_limiter_keys(const struct bw_limiter *limiter)
{
    return bw_map_count(limiter->gates);
}
