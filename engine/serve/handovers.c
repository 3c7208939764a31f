#include "serve/handovers.h"
#include "base/log.h"
#include "base/suggest.h"
#include <openssl/crypto.h>
#include <stdlib.h>

/* ---- what the store has ---- */

static bool load_window(void *arg, const struct bw_window *window)
{
    char *source = bw_slice_dup(window->source);
    bool good = source && bw_learnt_reserve(arg, source);
    if (good) bw_learnt_set_window(arg, source, window->until_ms);
    free(source);
    return good;
}

static bool load_secret(void *arg, const struct bw_learnt_secret *secret)
{
    char *source = bw_slice_dup(secret->source), *name = bw_slice_dup(secret->secret);
    bool good = source && name && bw_learnt_reserve(arg, source);
    if (good) bw_learnt_set_secret(arg, source, name, secret->value, secret->at_ms);
    if (good) bw_log_redact(name, secret->value);
    free(source);
    free(name);
    return good;
}

bool bw_handovers_load(struct bw_reader *reader, struct bw_learnt *learnt, struct bw_error *err)
{
    return bw_reader_windows(reader, load_window, learnt, err) && bw_reader_learnt(reader, load_secret, learnt, err);
}

/* ---- what is served ---- */

static struct bw_learnt_facts facts_of(const struct bw_source *source, struct bw_learnt *learnt)
{
    struct bw_learnt_facts facts = {0};
    if (bw_source_learns(source)) bw_learnt_find(learnt, bw_source_settings(source)->name, bw_source_learns(source), &facts);
    OPENSSL_cleanse(facts.secret, sizeof facts.secret);
    return facts;
}

static json_t *row_of(const struct bw_source *source, struct bw_learnt *learnt, int64_t now_ms)
{
    const struct bw_source_config *settings = bw_source_settings(source);
    const struct bw_learnt_facts facts = facts_of(source, learnt);
    const char *secret = !bw_source_learns(source) ? settings->secret_count ? "given" : "none" : facts.learnt_ms ? "learnt" : "awaited";
    json_t *row = json_pack("{s:s,s:s,s:s,s:b,s:s}", "source", settings->name, "path", settings->path, "scheme", settings->verify, "webhook",
                            settings->is_trigger, "secret", secret);
    if (facts.learnt_ms) json_object_set_new(row, "learnt_ms", json_integer(facts.learnt_ms));
    if (facts.open_until_ms > now_ms) json_object_set_new(row, "open_until_ms", json_integer(facts.open_until_ms));
    return row;
}

json_t *bw_handovers_list(const struct bw_router *router, struct bw_learnt *learnt, int64_t now_ms)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < bw_router_count(router); i++) json_array_append_new(list, row_of(bw_router_at(router, i)->source, learnt, now_ms));
    return list;
}

static const struct bw_source *find(const struct bw_router *router, const char *name, struct bw_error *err)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < bw_router_count(router); i++) {
        const struct bw_route *route = bw_router_at(router, i);
        if (!strcmp(route->settings->name, name)) return route->source;
        if (count < sizeof names / sizeof *names) names[count++] = route->settings->name;
    }
    const char *near = bw_suggest(bw_slice_of(name), names, count);
    bw_error_set(err, "source.unknown", "there is no source '%s'", name);
    bw_error_hint(err, near ? "did you mean '%s'?" : "see: bellwire sources", near);
    return NULL;
}

bool bw_handovers_may(const struct bw_router *router, struct bw_learnt *learnt, enum bw_handover_verb verb, const char *name, struct bw_error *err)
{
    const struct bw_source *source = find(router, name, err);
    if (!source) return false;
    const struct bw_learnt_facts facts = facts_of(source, learnt);
    if (!bw_source_learns(source)) {
        bw_error_set(err, "source.learns_nothing", "the sender of %s hands over no secret", name);
        bw_error_hint(err,
                      bw_source_settings(source)->secret_count ? "its secret is in the configuration, and that one counts"
                                                               : "its scheme has no such handshake; see: bellwire schemes show %s",
                      bw_source_settings(source)->verify);
        return false;
    }
    if (verb == BW_HANDOVER_OPEN && facts.learnt_ms) {
        bw_error_set(err, "source.has_secret", "the sender of %s has handed over its secret: another one would not be taken", name);
        bw_error_hint(err, "if it is to hand over a new one, first: bellwire sources forget %s", name);
        return false;
    }
    if (verb == BW_HANDOVER_REVEAL && !facts.learnt_ms) {
        bw_error_set(err, "source.no_secret", "the sender of %s has handed over no secret yet", name);
        bw_error_hint(err, "let it: bellwire sources open %s", name);
        return false;
    }
    return true;
}
