#include "source/learnt.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES_MAX 128

struct entry {
    struct entry *next;
    char *source;
    char name[NAME_BYTES_MAX];
    struct bw_learnt_facts facts;
};
struct bw_learnt {
    pthread_rwlock_t lock;
    struct entry *entries; /* only ever added to: a few, those that hand over secrets */
};

struct bw_learnt *bw_learnt_new(void)
{
    struct bw_learnt *learnt = calloc(1, sizeof *learnt);
    if (learnt && !pthread_rwlock_init(&learnt->lock, NULL)) return learnt;
    free(learnt);
    return NULL;
}

static void wipe(struct bw_learnt_facts *facts)
{
    OPENSSL_cleanse(facts->secret, sizeof facts->secret);
    facts->len = 0;
    facts->learnt_ms = 0;
}

void bw_learnt_free(struct bw_learnt *learnt)
{
    if (!learnt) return;
    for (struct entry *entry = learnt->entries, *next; entry; entry = next) {
        next = entry->next;
        wipe(&entry->facts);
        free(entry->source);
        free(entry);
    }
    pthread_rwlock_destroy(&learnt->lock);
    free(learnt);
}

static struct entry *find(struct bw_learnt *learnt, const char *source)
{
    struct entry *entry = learnt->entries;
    while (entry && strcmp(entry->source, source) != 0) entry = entry->next;
    return entry;
}

bool bw_learnt_reserve(struct bw_learnt *learnt, const char *source)
{
    struct entry *entry;
    pthread_rwlock_wrlock(&learnt->lock);
    bool is_there = find(learnt, source) != NULL;
    if (!is_there && (entry = calloc(1, sizeof *entry))) {
        if ((is_there = (entry->source = bw_slice_dup(bw_slice_of(source))) != NULL)) {
            entry->next = learnt->entries;
            learnt->entries = entry;
        } else {
            free(entry);
        }
    }
    pthread_rwlock_unlock(&learnt->lock);
    return is_there;
}

void bw_learnt_set_window(struct bw_learnt *learnt, const char *source, int64_t until_ms)
{
    pthread_rwlock_wrlock(&learnt->lock);
    struct entry *entry = find(learnt, source);
    if (entry) entry->facts.open_until_ms = until_ms;
    pthread_rwlock_unlock(&learnt->lock);
}

void bw_learnt_set_secret(struct bw_learnt *learnt, const char *source, const char *name, struct bw_slice value, int64_t now_ms)
{
    pthread_rwlock_wrlock(&learnt->lock);
    struct entry *entry = value.len <= BW_LEARNT_BYTES_MAX ? find(learnt, source) : NULL;
    if (entry) {
        wipe(&entry->facts);
        memcpy(entry->facts.secret, value.ptr, value.len);
        entry->facts.len = value.len;
        entry->facts.learnt_ms = now_ms;
        snprintf(entry->name, sizeof entry->name, "%s", name);
    }
    pthread_rwlock_unlock(&learnt->lock);
}

void bw_learnt_forget(struct bw_learnt *learnt, const char *source)
{
    pthread_rwlock_wrlock(&learnt->lock);
    struct entry *entry = find(learnt, source);
    if (entry) wipe(&entry->facts);
    pthread_rwlock_unlock(&learnt->lock);
}

void bw_learnt_find(struct bw_learnt *learnt, const char *source, const char *name, struct bw_learnt_facts *out)
{
    *out = (struct bw_learnt_facts){0};
    if (!learnt) return;
    pthread_rwlock_rdlock(&learnt->lock);
    const struct entry *entry = find(learnt, source);
    if (entry) *out = entry->facts;
    if (entry && strcmp(entry->name, name) != 0) wipe(out);
    pthread_rwlock_unlock(&learnt->lock);
}
