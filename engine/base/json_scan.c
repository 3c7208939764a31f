/* One pass: validation by a pushdown automaton with an explicit stack, path matching by a trie that walks beside it.
 *
 * Duplicate keys: an object is watched when the trie has an edge out of it, that is, when a pointer goes through it or ends in one of its members. In
 * a watched object each wanted key may occur once; a second occurrence, also one written with escapes, is refused. Other keys are not compared. */
#include "base/json_scan.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NODES_MAX 64 /* trie nodes of one set of paths, root included */
#define KEY_MAX 128  /* longest unescaped key of a pointer */

struct trie_node {
    char *key;
    size_t key_len;
    int64_t index;                     /* the key as an array index, or -1 */
    uint8_t first_child, next_sibling; /* 0 = none: the root is nobody's child */
    int8_t hit;                        /* which pointer ends here, or -1 */
    uint8_t number;                    /* among its siblings, for the duplicate mask */
};
struct bw_json_paths {
    struct trie_node nodes[NODES_MAX];
    size_t node_count;
    size_t hit_count;
    int8_t duplicate_of[BW_JSON_PATHS_MAX]; /* the same pointer given twice: index of the first, or -1 */
};

/* ---- compiled paths ---- */

static size_t unescape_token(const char *token, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < KEY_MAX; i++) {
        if (token[i] == '~' && i + 1 < len && (token[i + 1] == '0' || token[i + 1] == '1'))
            out[n++] = token[++i] == '0' ? '~' : '/';
        else
            out[n++] = token[i];
    }
    return n;
}

static int64_t index_of(const char *key, size_t len)
{
    int64_t value = 0;
    if (!len || len > 9 || (len > 1 && key[0] == '0')) return -1;
    for (size_t i = 0; i < len; i++) {
        if (key[i] < '0' || key[i] > '9') return -1;
        value = value * 10 + (key[i] - '0');
    }
    return value;
}

static uint8_t child_of(struct bw_json_paths *paths, uint8_t parent, const char *key, size_t len)
{
    uint8_t number = 0, *link = &paths->nodes[parent].first_child;
    for (; *link; link = &paths->nodes[*link].next_sibling, number++)
        if (paths->nodes[*link].key_len == len && !memcmp(paths->nodes[*link].key, key, len)) return *link;
    if (paths->node_count == NODES_MAX) return 0;
    struct trie_node *node = &paths->nodes[paths->node_count];
    if (!(node->key = malloc(len + 1))) return 0;
    memcpy(node->key, key, len);
    node->key_len = len;
    node->index = index_of(key, len);
    node->hit = -1;
    node->number = number;
    *link = (uint8_t)paths->node_count++;
    return *link;
}

static bool add_pointer(struct bw_json_paths *paths, const char *pointer, int8_t hit, struct bw_error *err)
{
    uint8_t at = 0;
    char key[KEY_MAX];
    if (*pointer && *pointer != '/') {
        bw_error_set(err, "json.pointer", "'%s' is no JSON pointer", pointer);
        bw_error_hint(err, "a JSON pointer begins with '/': /data/id");
        return false;
    }
    while (*pointer) {
        size_t len = strcspn(++pointer, "/"), unescaped = unescape_token(pointer, len, key);
        if (unescaped == KEY_MAX || !(at = child_of(paths, at, key, unescaped)))
            return bw_error_set(err, "json.pointer", "too many or too long JSON pointers");
        pointer += len;
    }
    if (paths->nodes[at].hit >= 0)
        paths->duplicate_of[hit] = paths->nodes[at].hit;
    else
        paths->nodes[at].hit = hit;
    return true;
}

struct bw_json_paths *bw_json_paths_new(const char *const *pointers, size_t count, struct bw_error *err)
{
    struct bw_json_paths *paths = count <= BW_JSON_PATHS_MAX ? calloc(1, sizeof *paths) : NULL;
    if (!paths) {
        bw_error_set(err, "json.pointer", count > BW_JSON_PATHS_MAX ? "more than %d JSON pointers" : "out of memory (%d)", BW_JSON_PATHS_MAX);
        return NULL;
    }
    paths->node_count = 1;
    paths->nodes[0].hit = -1;
    paths->nodes[0].index = -1;
    paths->hit_count = count;
    memset(paths->duplicate_of, -1, sizeof paths->duplicate_of);
    for (size_t i = 0; i < count; i++)
        if (!add_pointer(paths, pointers[i], (int8_t)i, err)) {
            bw_json_paths_free(paths);
            return NULL;
        }
    return paths;
}

void bw_json_paths_free(struct bw_json_paths *paths)
{
    if (!paths) return;
    for (size_t i = 1; i < paths->node_count; i++) free(paths->nodes[i].key);
    free(paths);
}

/* ---- the scanner ---- */

#define NOT_WATCHED 0xff
struct level {
    bool is_object;
    uint8_t node;  /* trie node of this container, NOT_WATCHED when no path goes through it */
    int8_t hit;    /* the pointer that ends at this container, or -1 */
    uint64_t seen; /* wanted keys that occurred, by number */
    int64_t index; /* arrays: of the current item */
    const char *start;
};
struct scanner {
    const char *start, *at, *end;
    const struct bw_json_paths *paths;
    struct bw_json_hit *hits;
    const char *reason;
    size_t depth;
    struct level levels[BW_JSON_DEPTH_MAX];
};

static bool fail(struct scanner *scanner, const char *at, const char *reason)
{
    scanner->at = at;
    scanner->reason = reason;
    return false;
}

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\n' || *scanner->at == '\r' || *scanner->at == '\t')) scanner->at++;
}

/* The first byte that a string cannot simply contain: quote, backslash, control character, or the start of a multi-byte character. */
static const char *plain_run(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* As signed bytes, everything below 0x20 includes all from 0x80 up. */
        __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)), _mm_cmplt_epi8(bytes, space));
        int mask = _mm_movemask_epi8(odd);
        if (mask) return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80) at++;
    return at;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* at is behind the backslash. */
static bool scan_escape(struct scanner *scanner)
{
    const char *at = scanner->at;
    if (at == scanner->end) return fail(scanner, at, "the text ends inside a string");
    if (*at != 'u') {
        if (!strchr("\"\\/bfnrt", *at) || !*at) return fail(scanner, at, "unknown escape in a string");
        scanner->at++;
        return true;
    }
    int unit = hex4(at + 1, scanner->end);
    if (unit < 0) return fail(scanner, at, "\\u needs four hexadecimal digits");
    if (unit == 0) return fail(scanner, at, "\\u0000 is not allowed");
    if (unit >= 0xdc00 && unit <= 0xdfff) return fail(scanner, at, "lone low surrogate");
    scanner->at += 5;
    if (unit < 0xd800 || unit > 0xdbff) return true;
    int low = scanner->end - scanner->at >= 6 && scanner->at[0] == '\\' && scanner->at[1] == 'u' ? hex4(scanner->at + 2, scanner->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) return fail(scanner, at, "lone high surrogate");
    scanner->at += 6;
    return true;
}

/* at is on the opening quote; afterwards behind the closing one. */
static bool scan_string(struct scanner *scanner)
{
    scanner->at++;
    for (;;) {
        scanner->at = plain_run(scanner->at, scanner->end);
        if (scanner->at == scanner->end) return fail(scanner, scanner->at, "the text ends inside a string");
        unsigned char c = (unsigned char)*scanner->at;
        if (c == '"') {
            scanner->at++;
            return true;
        }
        if (c == '\\') {
            scanner->at++;
            if (!scan_escape(scanner)) return false;
        } else if (c < 0x20) {
            return fail(scanner, scanner->at, c ? "control character in a string" : "NUL byte in a string");
        } else {
            size_t len = bw_utf8_length(scanner->at, (size_t)(scanner->end - scanner->at));
            if (!len) return fail(scanner, scanner->at, "invalid UTF-8");
            scanner->at += len;
        }
    }
}

static bool is_digit(const struct scanner *scanner)
{
    return scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9';
}

static bool scan_digits(struct scanner *scanner, const char *reason)
{
    if (!is_digit(scanner)) return fail(scanner, scanner->at, reason);
    while (is_digit(scanner)) scanner->at++;
    return true;
}

static bool scan_number(struct scanner *scanner)
{
    if (*scanner->at == '-') scanner->at++;
    if (scanner->at < scanner->end && *scanner->at == '0') {
        scanner->at++;
        if (is_digit(scanner)) return fail(scanner, scanner->at, "a number must not begin with 0");
    } else if (!scan_digits(scanner, "expected a digit")) {
        return false;
    }
    if (scanner->at < scanner->end && *scanner->at == '.') {
        scanner->at++;
        if (!scan_digits(scanner, "expected a digit after '.'")) return false;
    }
    if (scanner->at < scanner->end && (*scanner->at == 'e' || *scanner->at == 'E')) {
        scanner->at++;
        if (scanner->at < scanner->end && (*scanner->at == '+' || *scanner->at == '-')) scanner->at++;
        if (!scan_digits(scanner, "expected a digit in the exponent")) return false;
    }
    return true;
}

static bool scan_word(struct scanner *scanner, const char *word, size_t len)
{
    if ((size_t)(scanner->end - scanner->at) < len || memcmp(scanner->at, word, len)) return fail(scanner, scanner->at, "expected a value");
    scanner->at += len;
    return true;
}

/* Does the raw key (with quotes) spell the wanted one? Only keys with a backslash need unescaping. */
static bool key_is(const char *raw, size_t raw_len, const struct trie_node *node)
{
    const char *inner = raw + 1;
    size_t len = raw_len - 2;
    if (len == node->key_len && !memcmp(inner, node->key, len)) return !memchr(inner, '\\', len);
    if (len <= node->key_len || !memchr(inner, '\\', len)) return false;
    char unescaped[KEY_MAX + 8];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (n > node->key_len) return false;
        if (inner[i] != '\\') {
            unescaped[n++] = inner[i];
            continue;
        }
        i++;
        static const char plain[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
        const char *found = inner[i] == 'u' ? NULL : strchr(plain, inner[i]);
        if (found) {
            unescaped[n++] = meaning[found - plain];
            continue;
        }
        unsigned point = (unsigned)hex4(inner + i + 1, inner + len);
        i += 4;
        if (point >= 0xd800 && point <= 0xdbff) {
            point = 0x10000 + ((point - 0xd800) << 10) + ((unsigned)hex4(inner + i + 3, inner + len) - 0xdc00);
            i += 6;
        }
        n += bw_utf8_encode(point, unescaped + n);
    }
    return n == node->key_len && !memcmp(unescaped, node->key, n);
}

static uint8_t find_key(const struct scanner *scanner, uint8_t parent, const char *raw, size_t raw_len)
{
    for (uint8_t i = scanner->paths->nodes[parent].first_child; i; i = scanner->paths->nodes[i].next_sibling)
        if (key_is(raw, raw_len, &scanner->paths->nodes[i])) return i;
    return NOT_WATCHED;
}

static uint8_t find_index(const struct scanner *scanner, uint8_t parent, int64_t index)
{
    for (uint8_t i = scanner->paths->nodes[parent].first_child; i; i = scanner->paths->nodes[i].next_sibling)
        if (scanner->paths->nodes[i].index == index) return i;
    return NOT_WATCHED;
}

static void hit(struct scanner *scanner, int8_t number, enum bw_json_type type, const char *start)
{
    if (number >= 0) scanner->hits[number] = (struct bw_json_hit){type, {start, (size_t)(scanner->at - start)}};
}

static bool open_container(struct scanner *scanner, uint8_t node)
{
    if (scanner->depth == BW_JSON_DEPTH_MAX) return fail(scanner, scanner->at, "nested deeper than 64 levels");
    int8_t number = node == NOT_WATCHED ? -1 : scanner->paths->nodes[node].hit;
    bool is_watched = node != NOT_WATCHED && scanner->paths->nodes[node].first_child;
    scanner->levels[scanner->depth++] =
        (struct level){.is_object = *scanner->at == '{', .node = is_watched ? node : NOT_WATCHED, .hit = number, .start = scanner->at};
    scanner->at++;
    return true;
}

/* A value at `node` of the trie. Containers are opened only. */
static bool scan_value(struct scanner *scanner, uint8_t node)
{
    const char *start = scanner->at;
    enum bw_json_type type;
    bool good;
    if (start == scanner->end) return fail(scanner, start, "the text ends where a value is expected");
    switch (*start) {
    case '{':
    case '[': return open_container(scanner, node);
    case '"': type = BW_JSON_STRING, good = scan_string(scanner); break;
    case 't': type = BW_JSON_TRUE, good = scan_word(scanner, "true", 4); break;
    case 'f': type = BW_JSON_FALSE, good = scan_word(scanner, "false", 5); break;
    case 'n': type = BW_JSON_NULL, good = scan_word(scanner, "null", 4); break;
    default:
        type = BW_JSON_NUMBER;
        if (*start != '-' && (*start < '0' || *start > '9')) return fail(scanner, start, *start ? "expected a value" : "NUL byte");
        good = scan_number(scanner);
    }
    if (good && node != NOT_WATCHED) hit(scanner, scanner->paths->nodes[node].hit, type, start);
    return good;
}

/* After '{' or ',' in an object: key, colon, value. */
static bool scan_member(struct scanner *scanner, struct level *level)
{
    uint8_t node = NOT_WATCHED;
    const char *key = scanner->at;
    if (key == scanner->end || *key != '"') return fail(scanner, key, "expected a key in double quotes");
    if (!scan_string(scanner)) return false;
    if (level->node != NOT_WATCHED && (node = find_key(scanner, level->node, key, (size_t)(scanner->at - key))) != NOT_WATCHED) {
        uint64_t bit = 1ull << scanner->paths->nodes[node].number;
        if (level->seen & bit) return fail(scanner, key, "this key occurs twice");
        level->seen |= bit;
    }
    skip_space(scanner);
    if (scanner->at == scanner->end || *scanner->at != ':') return fail(scanner, scanner->at, "expected ':'");
    scanner->at++;
    skip_space(scanner);
    return scan_value(scanner, node);
}

static bool scan_item(struct scanner *scanner, struct level *level)
{
    return scan_value(scanner, level->node == NOT_WATCHED ? NOT_WATCHED : find_index(scanner, level->node, level->index));
}

/* One turn inside the innermost container: its next element, or its end. */
static bool scan_inside(struct scanner *scanner, bool *is_first)
{
    struct level *level = &scanner->levels[scanner->depth - 1];
    char close = level->is_object ? '}' : ']';
    skip_space(scanner);
    if (scanner->at == scanner->end)
        return fail(scanner, scanner->at, level->is_object ? "the text ends inside an object" : "the text ends inside an array");
    if (*scanner->at == close) {
        scanner->at++;
        hit(scanner, level->hit, level->is_object ? BW_JSON_OBJECT : BW_JSON_ARRAY, level->start);
        scanner->depth--;
        *is_first = false;
        return true;
    }
    if (!*is_first) {
        if (*scanner->at != ',') return fail(scanner, scanner->at, level->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        scanner->at++;
        level->index++;
        skip_space(scanner);
    }
    size_t depth = scanner->depth;
    if (!(level->is_object ? scan_member(scanner, level) : scan_item(scanner, level))) return false;
    *is_first = scanner->depth > depth; /* a container was opened */
    return true;
}

static void locate(struct bw_slice text, const struct scanner *scanner, struct bw_json_fault *fault)
{
    const char *line = text.ptr;
    fault->reason = scanner->reason;
    fault->offset = (size_t)(scanner->at - text.ptr);
    fault->line = 1;
    for (const char *c = text.ptr; c < scanner->at; c++)
        if (*c == '\n') {
            fault->line++;
            line = c + 1;
        }
    fault->column = (uint32_t)(scanner->at - line) + 1;
}

bool bw_json_scan(struct bw_slice text, const struct bw_json_paths *paths, struct bw_json_hit *hits, struct bw_json_fault *fault)
{
    static const char nothing[1];
    struct scanner scanner = {.paths = paths, .hits = hits};
    bool is_first = true;
    scanner.start = scanner.at = text.ptr ? text.ptr : nothing;
    scanner.end = scanner.at + text.len;
    if (paths) memset(hits, 0, paths->hit_count * sizeof *hits);
    skip_space(&scanner);
    bool good = scan_value(&scanner, paths ? 0 : NOT_WATCHED);
    while (good && scanner.depth) good = scan_inside(&scanner, &is_first);
    if (good) {
        skip_space(&scanner);
        if (scanner.at < scanner.end) good = fail(&scanner, scanner.at, "expected nothing after the value");
    }
    for (size_t i = 0; good && paths && i < paths->hit_count; i++)
        if (paths->duplicate_of[i] >= 0) hits[i] = hits[paths->duplicate_of[i]];
    if (!good && fault) locate((struct bw_slice){scanner.start, text.len}, &scanner, fault);
    return good;
}
