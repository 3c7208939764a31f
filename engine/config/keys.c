#include "config/keys.h"
#include "base/suggest.h"
#include "base/units.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX 40

void bw_key_error(const struct bw_key_context *context, const struct bw_yaml_node *at, const char *code, const char *hint, const char *format, ...)
{
    struct bw_error err;
    char text[sizeof err.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bw_error_set(&err, code, "%s", text);
    if (hint) bw_error_hint(&err, "%s", hint);
    bw_error_at(&err, context->file, at ? at->line : 0, at ? at->column : 0);
    bw_errors_push(context->errs, &err);
}

static void unknown_key(const struct bw_key_context *context, const struct bw_yaml_node *key, const char *where, const struct bw_key *keys,
                        size_t count)
{
    const char *names[KEYS_MAX];
    char hint[100] = "";
    size_t known = 0;
    for (size_t i = 0; i < count && known < KEYS_MAX; i++)
        if (keys[i].type != BW_KEY_LATER) names[known++] = keys[i].name;
    const char *near = bw_suggest(key->text, names, known);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_key_error(context, key, "config.unknown_key", hint, "unknown key '%s' in %s", key->text.ptr, where);
}

static void read_value(const struct bw_key_context *context, const struct bw_yaml_node *value, const struct bw_key *key, char *field)
{
    struct bw_error err;
    uint64_t bytes;
    int64_t ms;
    bool is_scalar = value->kind != BW_YAML_LIST && value->kind != BW_YAML_MAP;
    bool is_none = is_scalar && bw_slice_is(value->text, "none");
    switch (key->type) {
    case BW_KEY_TEXT:
        if (!is_scalar || value->kind == BW_YAML_NULL || !value->text.len)
            bw_key_error(context, value, "config.type", NULL, "%s must be text, found %s", key->name, bw_yaml_kind_name(value->kind));
        else
            *(char **)(void *)field = bw_slice_dup(value->text);
        break;
    case BW_KEY_BOOL:
        if (value->kind != BW_YAML_BOOL)
            bw_key_error(context, value, "config.type", NULL, "%s must be true or false, found %s", key->name, bw_yaml_kind_name(value->kind));
        else
            *(bool *)(void *)field = value->boolean;
        break;
    case BW_KEY_COUNT:
        if (value->kind != BW_YAML_INT || value->integer < (int64_t)key->min || (key->max && value->integer > (int64_t)key->max))
            bw_key_error(context, value, "config.range", NULL, "%s must be a whole number from %llu to %llu", key->name, (unsigned long long)key->min,
                         (unsigned long long)key->max);
        else
            *(unsigned *)(void *)field = (unsigned)value->integer;
        break;
    case BW_KEY_SIZE_OR_NONE:
    case BW_KEY_SIZE:
        if (is_none && key->type == BW_KEY_SIZE_OR_NONE)
            *(uint64_t *)(void *)field = 0;
        else if (!is_scalar || !bw_size_parse(value->text, &bytes, &err))
            bw_key_error(context, value, "config.type",
                         key->type == BW_KEY_SIZE ? "write a size such as 512KiB or 4MiB" : "write a size such as 20GiB or none", "%s must be a size",
                         key->name);
        else if (bytes < key->min || (key->max && bytes > key->max))
            bw_key_error(context, value, "config.range", NULL, "%s must be from %llu to %llu bytes", key->name, (unsigned long long)key->min,
                         (unsigned long long)key->max);
        else
            *(uint64_t *)(void *)field = bytes;
        break;
    case BW_KEY_DURATION_OR_NONE:
    case BW_KEY_DURATION:
        if (is_none && key->type == BW_KEY_DURATION_OR_NONE)
            *(int64_t *)(void *)field = 0;
        else if (!is_scalar || !bw_duration_parse(value->text, &ms, &err) || ms < 1)
            bw_key_error(context, value, "config.type",
                         key->type == BW_KEY_DURATION ? "write a duration such as 500ms, 30s or 1h30m"
                                                      : "write a duration such as 12h or 30d, or none",
                         "%s must be a duration", key->name);
        else
            *(int64_t *)(void *)field = ms;
        break;
    case BW_KEY_SPECIAL:
    case BW_KEY_LATER: break;
    }
}

bool bw_key_is_expr_name(struct bw_slice text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return text.len && strspn(text.ptr, letters) == text.len && !(text.ptr[0] >= '0' && text.ptr[0] <= '9');
}

void bw_keys_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *where, const struct bw_key *keys, size_t count,
                  void *target)
{
    if (map->kind == BW_YAML_NULL) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", NULL, "%s must be a map, found %s", where, bw_yaml_kind_name(map->kind));
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        size_t k = 0;
        while (k < count && !bw_slice_is(key->text, keys[k].name)) k++;
        if (k == count)
            unknown_key(context, key, where, keys, count);
        else if (keys[k].type == BW_KEY_LATER)
            bw_key_error(context, key, "config.not_supported", NULL, "%s is not supported by this version", keys[k].name);
        else
            read_value(context, map->pairs[i].value, &keys[k], (char *)target + keys[k].offset);
    }
}

void bw_keys_help(struct bw_buf *out, const struct bw_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].help)
            bw_buf_printf(out, "  %-22s %s%s%s%s\n", keys[i].name, keys[i].help, *keys[i].otherwise ? " (" : "", keys[i].otherwise,
                          *keys[i].otherwise ? ")" : "");
}
