/* json_scan: accepts what jansson accepts, and finds at each path the value that jansson has there; views and the tree that is built say the same.
 *
 * Input: a seed, then text. The seed chooses paths by walking through jansson's tree, so that most of them are there, and bends some of them.
 * Known differences, and no others: nested deeper than 64 levels (jansson 2,048); integers beyond 64 bits and reals beyond double, which are valid
 * numbers here and refused by jansson; a NUL byte, which jansson takes for the end of the text where a token may begin. A key that occurs twice is
 * refused here only where a path goes through it, by jansson when it is asked to. */
#include "base/json.h"
#include "base/json_build.h"
#include "base/json_scan.h"
#include "base/json_view.h"
#include "fuzz.h"

#define POINTERS 6
#define STEPS_MAX 12

static void check_fault(struct bw_slice text, const struct bw_json_fault *fault)
{
    uint32_t line = 1;
    size_t begin = 0;
    fuzz_check(fault->reason && *fault->reason && fault->offset <= text.len, "offset %zu of %zu", fault->offset, text.len);
    for (size_t i = 0; i < fault->offset; i++)
        if (text.ptr[i] == '\n') line++, begin = i + 1;
    fuzz_check(fault->line == line && fault->column == fault->offset - begin + 1, "%u:%u for offset %zu", fault->line, fault->column, fault->offset);
}

static bool is_known_difference(struct bw_slice text, bool ours, const json_t *native, const char *why, const char *our_reason)
{
    if (ours && !native) return strstr(why, "too big") || strstr(why, "overflow");
    if (native && !ours) return !strcmp(our_reason, "nested deeper than 64 levels") || memchr(text.ptr, '\0', text.len) != NULL;
    return false;
}

/* ---- paths ---- */

static void append_token(struct bw_buf *pointer, const char *key)
{
    bw_buf_append_char(pointer, '/');
    for (; *key; key++) {
        if (*key == '~' || *key == '/')
            bw_buf_append_text(pointer, *key == '~' ? "~0" : "~1");
        else
            bw_buf_append_char(pointer, *key);
    }
}

/* A path through the tree, or nearly one. */
static void choose_pointer(const json_t *root, struct fuzz_dice *dice, struct bw_buf *pointer)
{
    bw_buf_append_text(pointer, ""); /* data is text from here on */
    for (int step = 0; step < STEPS_MAX && fuzz_roll(dice, 6); step++) {
        size_t count = json_is_object(root) ? json_object_size(root) : json_array_size(root);
        if (!count) break;
        size_t index = fuzz_roll(dice, (uint32_t)count);
        if (json_is_array(root)) {
            bw_buf_printf(pointer, "/%zu", index);
            root = json_array_get(root, index);
            continue;
        }
        void *member = json_object_iter((json_t *)root);
        while (index--) member = json_object_iter_next((json_t *)root, member);
        append_token(pointer, json_object_iter_key(member));
        root = json_object_iter_value(member);
    }
    static const char *const bends[] = {"/0", "/x", "/", "/-1", "/00"};
    if (!fuzz_roll(dice, 5)) bw_buf_append_text(pointer, bends[fuzz_roll(dice, sizeof bends / sizeof *bends)]);
}

/* The token at the '/' of an RFC 6901 pointer, unescaped; returns what is behind it. */
static const char *next_token(const char *pointer, struct bw_buf *token)
{
    bw_buf_clear(token);
    bw_buf_append_text(token, "");
    for (pointer++; *pointer && *pointer != '/'; pointer++) {
        bool is_escape = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
        bw_buf_append_char(token, is_escape ? (*++pointer == '0' ? '~' : '/') : *pointer);
    }
    return pointer;
}

/* -1: the token is no index. */
static long index_of(const struct bw_buf *token)
{
    bool is_index = token->len && token->len < 10 && strspn(token->data, "0123456789") == token->len && (token->len == 1 || *token->data != '0');
    return is_index ? strtol(token->data, NULL, 10) : -1;
}

static const json_t *resolve(const json_t *root, const char *pointer)
{
    static struct bw_buf token;
    while (root && *pointer) {
        pointer = next_token(pointer, &token);
        if (json_is_object(root))
            root = json_object_get(root, token.len ? token.data : "");
        else
            root = json_is_array(root) && index_of(&token) >= 0 ? json_array_get(root, (size_t)index_of(&token)) : NULL;
    }
    return root;
}

static enum bw_json_type type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return BW_JSON_OBJECT;
    case JSON_ARRAY: return BW_JSON_ARRAY;
    case JSON_STRING: return BW_JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return BW_JSON_NUMBER;
    case JSON_TRUE: return BW_JSON_TRUE;
    case JSON_FALSE: return BW_JSON_FALSE;
    case JSON_NULL: break;
    }
    return BW_JSON_NULL;
}

static void check_hit(struct bw_slice text, const struct bw_json_hit *hit, const json_t *expected, const char *pointer)
{
    fuzz_check((hit->type != BW_JSON_NONE) == (expected != NULL), "'%s' is %s", pointer, expected ? "not found" : "not there");
    if (!expected) return;
    fuzz_check(hit->type == type_of(expected) && hit->raw.len && hit->raw.ptr >= text.ptr && hit->raw.ptr + hit->raw.len <= text.ptr + text.len,
               "'%s' has the type %d", pointer, (int)hit->type);
    json_t *found = json_loadb(hit->raw.ptr, hit->raw.len, JSON_DECODE_ANY, NULL);
    fuzz_check(found && json_equal(found, expected), "'%s' is %.*s", pointer, (int)hit->raw.len, hit->raw.ptr);
    json_decref(found);
}

/* Does an object on the way hold the key of the next step more than once? The views are only asked which keys there are. */
static bool is_ambiguous(struct bw_json_view view, const char *pointer)
{
    static struct bw_buf key, member_key;
    while (*pointer) {
        struct bw_json_iter members = bw_json_view_iter(view);
        struct bw_json_view member;
        struct bw_slice raw;
        size_t count = 0;
        pointer = next_token(pointer, &key);
        if (bw_json_view_type(view) != BW_JSON_OBJECT) {
            long index = bw_json_view_type(view) == BW_JSON_ARRAY ? index_of(&key) : -1;
            if (index < 0 || !bw_json_view_at(view, (size_t)index, &view)) return false;
            continue;
        }
        while (bw_json_iter_next(&members, &raw, &member)) {
            bw_buf_clear(&member_key);
            bw_json_unescape_append(&member_key, raw);
            if (!bw_slice_equal(bw_buf_slice(&member_key), bw_buf_slice(&key))) continue;
            view = member;
            count++;
        }
        if (count != 1) return count > 1;
    }
    return false;
}

static void check_paths(struct bw_slice text, const json_t *native, struct fuzz_dice *dice)
{
    static struct bw_buf texts[POINTERS];
    const char *pointers[POINTERS];
    struct bw_json_hit hits[POINTERS];
    struct bw_json_fault fault = {0};
    size_t count = 1 + fuzz_roll(dice, POINTERS);
    bool ambiguous = false;
    for (size_t i = 0; i < count; i++) {
        bw_buf_clear(&texts[i]);
        choose_pointer(native, dice, &texts[i]);
        pointers[i] = texts[i].data;
        ambiguous = ambiguous || is_ambiguous(bw_json_view_of(text), pointers[i]);
    }
    struct bw_json_paths *paths = bw_json_paths_new(pointers, count, NULL);
    if (!paths) return; /* longer than a pointer may be */
    if (bw_json_scan(text, paths, hits, &fault)) {
        fuzz_check(!ambiguous, "a key on the way to a value occurs twice");
        for (size_t i = 0; i < count; i++) check_hit(text, &hits[i], resolve(native, pointers[i]), pointers[i]);
    } else {
        fuzz_check(ambiguous && !strcmp(fault.reason, "this key occurs twice"), "with paths: %s", fault.reason);
        check_fault(text, &fault);
    }
    bw_json_paths_free(paths);
}

/* ---- views ---- */

static void check_view(struct bw_json_view view, const json_t *native)
{
    struct bw_json_view found;
    fuzz_check(bw_json_view_type(view) == type_of(native), "%.*s", (int)view.raw.len, view.raw.ptr);
    if (json_is_object(native)) {
        const char *key;
        json_t *member;
        fuzz_check(bw_json_view_count(view) == json_object_size(native), "%zu members", bw_json_view_count(view));
        json_object_foreach((json_t *)native, key, member)
        {
            fuzz_check(bw_json_view_get(view, bw_slice_of(key), &found), "no '%s'", key);
            check_view(found, member);
        }
    } else if (json_is_array(native)) {
        struct bw_json_iter items = bw_json_view_iter(view);
        for (size_t i = 0; i < json_array_size(native); i++) {
            fuzz_check(bw_json_iter_next(&items, NULL, &found), "no item %zu", i);
            check_view(found, json_array_get(native, i));
        }
        fuzz_check(!bw_json_iter_next(&items, NULL, &found), "more than %zu items", json_array_size(native));
    } else if (json_is_string(native)) {
        struct bw_buf scratch = {0};
        fuzz_check(bw_slice_equal(bw_json_view_string(view, &scratch), bw_json_slice(native)), "%.*s", (int)view.raw.len, view.raw.ptr);
        bw_buf_free(&scratch);
    } else if (json_is_number(native)) {
        bool is_integer = false;
        int64_t integer = 0;
        double real = 0;
        fuzz_check(bw_json_view_number(view, &is_integer, &integer, &real), "%.*s is no number", (int)view.raw.len, view.raw.ptr);
        fuzz_check(is_integer == json_is_integer(native) && (!is_integer || integer == json_integer_value(native)) &&
                       real == json_number_value(native),
                   "%.*s", (int)view.raw.len, view.raw.ptr);
    }
}

/* What is written of a value is the same value. */
static void check_written(const json_t *native)
{
    struct bw_buf text = {0};
    struct bw_error err;
    bw_json_append(&text, native);
    json_t *again = bw_json_load(bw_buf_slice(&text), &err);
    fuzz_check(again && json_equal(again, native), "written: %s", text.data);
    json_decref(again);
    bw_buf_free(&text);
}

/* unique: what jansson reads that refuses keys that come twice; NULL: it refuses the text. */
static void check_built(struct bw_slice text, const json_t *unique)
{
    json_t *built = bw_json_build(text);
    fuzz_check(!built || (unique && json_equal(built, unique)), "built is another tree: %.*s", (int)text.len, text.ptr);
    json_decref(built);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    json_object_seed(1); /* always the same */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&text);
    struct bw_json_fault fault = {0};
    json_error_t why;
    bool ours = bw_json_scan(text, NULL, NULL, &fault);
    json_t *native = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, &why);
    if (!ours) check_fault(text, &fault);
    fuzz_check(ours == (native != NULL) || is_known_difference(text, ours, native, why.text, fault.reason), "here: %s; jansson: %s",
               ours ? "accepted" : fault.reason, native ? "accepted" : why.text);
    if (ours && native) {
        json_t *unique = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        check_paths(text, native, &dice);
        check_built(text, unique);
        if (unique) {
            check_view(bw_json_view_of(text), unique);
            check_written(unique);
        }
        json_decref(unique);
    }
    json_decref(native);
    return 0;
}
