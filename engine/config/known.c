#include "config/known.h"
#include "base/map.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bw_map *known; /* folder and words → struct bw_slice * */

static void make_key(char *const *argv, const char *folder, struct bw_buf *key)
{
    bw_buf_append_text(key, folder);
    for (; *argv; argv++) {
        bw_buf_append_char(key, '\0');
        bw_buf_append_text(key, *argv);
    }
}

static void forget(struct bw_slice *value)
{
    if (!value) return;
    OPENSSL_cleanse((void *)value->ptr, value->len);
    free((void *)value->ptr);
    free(value);
}

void bw_known_put(char *const *argv, const char *folder, struct bw_slice value)
{
    struct bw_buf key = {0};
    struct bw_slice *copy = malloc(sizeof *copy);
    if (copy) *copy = (struct bw_slice){bw_slice_dup(value), value.len};
    make_key(argv, folder, &key);
    pthread_mutex_lock(&lock);
    if (!known) known = bw_map_new();
    bool good = known && copy && copy->ptr && !key.failed;
    struct bw_slice *before = good ? bw_map_get(known, bw_buf_slice(&key)) : NULL;
    if (good && !bw_map_set(known, bw_buf_slice(&key), copy)) good = false;
    if (good) forget(before);
    if (!good && copy && !copy->ptr)
        free(copy);
    else if (!good)
        forget(copy); /* without memory the one from before stays */
    pthread_mutex_unlock(&lock);
    bw_buf_free(&key);
}

bool bw_known_get(char *const *argv, const char *folder, struct bw_buf *out)
{
    struct bw_buf key = {0};
    make_key(argv, folder, &key);
    pthread_mutex_lock(&lock);
    const struct bw_slice *value = known && !key.failed ? bw_map_get(known, bw_buf_slice(&key)) : NULL;
    if (value) bw_buf_append_slice(out, *value);
    pthread_mutex_unlock(&lock);
    bw_buf_free(&key);
    return value && !out->failed;
}
