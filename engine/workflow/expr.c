/* Expressions as text: where they end, what their tokens are, and the aliases != && || ! that people bring from other languages.
 * All three must see strings and comments as Lua sees them: a quote in a comment opens nothing, "}}" in a string closes nothing. */
#include "workflow/internal.h"
#include <stdio.h>
#include <string.h>

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

/* Behind a quoted string or a long bracket that begins at `at`; `at` itself when none does. An unclosed one ends at `end`. */
static const char *skip_literal(const char *at, const char *end)
{
    if (*at == '"' || *at == '\'') {
        char quote = *at;
        for (at++; at < end && *at != quote; at++)
            if (*at == '\\' && at + 1 < end) at++;
        return at < end ? at + 1 : end;
    }
    if (*at == '[') {
        const char *level = at + 1;
        while (level < end && *level == '=') level++;
        if (level == end || *level != '[') return at;
        size_t equals = (size_t)(level - at) - 1;
        for (const char *close = level + 1; close < end; close++) {
            if (*close != ']' || (size_t)(end - close) < equals + 2) continue;
            size_t i = 0;
            while (i < equals && close[1 + i] == '=') i++;
            if (i == equals && close[1 + equals] == ']') return close + equals + 2;
        }
        return end;
    }
    return at;
}

/* Behind a comment that begins at `at`; `at` itself when none does. A comment to the end of its line also ends at the "}}" of its expression,
 * or an expression on one line could hold none. */
static const char *skip_comment(const char *at, const char *end)
{
    if (end - at < 2 || at[0] != '-' || at[1] != '-') return at;
    if (end - at > 2 && at[2] == '[') {
        const char *behind = skip_literal(at + 2, end);
        if (behind > at + 2) return behind;
    }
    for (at += 2; at < end && *at != '\n'; at++)
        if (end - at >= 2 && at[0] == '}' && at[1] == '}') break;
    return at;
}

static const char *skip_opaque(const char *at, const char *end)
{
    const char *behind = skip_literal(at, end);
    return behind > at ? behind : skip_comment(at, end);
}

/* A numeral as Lua reads it: "0x1F" and "1e-5" hold no name. */
static const char *skip_number(const char *at, const char *end)
{
    const char *exponents = end - at > 1 && *at == '0' && (at[1] == 'x' || at[1] == 'X') ? "pP" : "eE";
    for (at++; at < end; at++)
        if (!is_name(*at) && *at != '.' && !((*at == '+' || *at == '-') && strchr(exponents, at[-1]))) break;
    return at;
}

static bool is_blank_char(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool bw_token_next(const char **at, const char *end, struct bw_token *token)
{
    const char *start = *at, *behind;
    for (;;) {
        while (start < end && is_blank_char(*start)) start++;
        if (start >= end) return false;
        if ((behind = skip_comment(start, end)) == start) break;
        start = behind;
    }
    behind = skip_literal(start, end);
    token->kind = BW_TOKEN_STRING;
    if (behind == start && is_name_start(*start)) {
        token->kind = BW_TOKEN_NAME;
        while (behind < end && is_name(*behind)) behind++;
    } else if (behind == start && *start >= '0' && *start <= '9') {
        token->kind = BW_TOKEN_OTHER;
        behind = skip_number(start, end);
    } else if (behind == start) {
        token->kind = BW_TOKEN_OTHER;
        do behind++;
        while (*start == '.' && behind < end && *behind == '.'); /* .. joins texts, it is no field */
    }
    token->text = (struct bw_slice){start, (size_t)(behind - start)};
    *at = behind;
    return true;
}

/* A little more than Lua itself would take for one: what is meant is to find names that nobody has given. */
void bw_expr_find_locals(const char *at, const char *end, struct bw_expr_locals *out)
{
    enum { NONE, FUNCTION, LOCAL, FOR, GOTO } behind = NONE;
    struct bw_token token;
    out->count = 0;
    while (bw_token_next(&at, end, &token)) {
        bool is_name = token.kind == BW_TOKEN_NAME;
        if (is_name && bw_slice_is(token.text, "function")) {
            behind = FUNCTION;
        } else if (is_name && bw_slice_is(token.text, "local")) {
            behind = LOCAL;
        } else if (is_name && bw_slice_is(token.text, "for")) {
            behind = FOR;
        } else if (is_name && bw_slice_is(token.text, "goto")) {
            behind = GOTO;
        } else if (is_name && behind != NONE && !(behind == FOR && bw_slice_is(token.text, "in"))) {
            if (out->count < BW_EXPR_LOCALS_MAX) out->names[out->count] = token.text;
            out->count++;
            if (behind == GOTO) behind = NONE;
        } else if (behind == FUNCTION ? bw_slice_is(token.text, ")") : !strchr(",<>", *token.text.ptr)) {
            behind = NONE;
        }
    }
}

bool bw_expr_is_local(const struct bw_expr_locals *locals, struct bw_slice name)
{
    for (size_t i = 0; i < locals->count && i < BW_EXPR_LOCALS_MAX; i++)
        if (bw_slice_equal(locals->names[i], name)) return true;
    return locals->count > BW_EXPR_LOCALS_MAX;
}

const char *bw_expr_end(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        const char *behind = skip_opaque(at, end);
        if (behind > at) {
            at = behind;
            continue;
        }
        if (*at == '{') depth++;
        if (*at == '}') {
            if (depth)
                depth--;
            else if (at + 1 < end && at[1] == '}')
                return at + 2;
        }
        at++;
    }
    return NULL;
}

/* A separator of Unicode ends a line of the file, where YAML takes blanks away. */
static bool is_apart_before(const char *begin, const char *at)
{
    return is_blank_char(at[-1]) || (at - begin >= 3 && bw_yaml_break(at - 3, at) == 3);
}

static bool is_apart_after(const char *at, const char *end)
{
    return is_blank_char(*at) || bw_yaml_break(at, end);
}

bool bw_alias_next(struct bw_aliases *aliases, struct bw_alias *alias)
{
    static const struct {
        const char *text, *lua;
        bool is_word;
    } known[] = {{"!=", "~=", false}, {"&&", "and", true}, {"||", "or", true}, {"!", "not", true}};
    const char *end = aliases->end;
    while (aliases->at < end) {
        const char *at = aliases->at, *behind = skip_opaque(at, end);
        size_t i = 0, len = 0, count = sizeof known / sizeof *known;
        for (; behind == at && i < count; i++) {
            len = strlen(known[i].text);
            if ((size_t)(end - at) >= len && !memcmp(at, known[i].text, len)) break;
        }
        if (behind > at || i == count) {
            aliases->at = behind > at ? behind : at + 1;
            continue;
        }
        /* A word needs room beside it, where there is none yet. */
        bool before =
            known[i].is_word && at > aliases->begin && at != aliases->behind && !is_apart_before(aliases->begin, at) && !strchr("([{,", at[-1]);
        bool after = known[i].is_word && at + len < end && !is_apart_after(at + len, end);
        *alias = (struct bw_alias){.text = {at, len}};
        snprintf(alias->lua, sizeof alias->lua, "%s%s%s", before ? " " : "", known[i].lua, after ? " " : "");
        aliases->at = aliases->behind = at + len;
        return true;
    }
    return false;
}

/* Line breaks stay where they are, so that Lua's line numbers are the file's. */
static struct bw_slice rewrite(struct bw_loader *loader, struct bw_slice source)
{
    struct bw_aliases aliases = bw_aliases_of(source);
    const char *at = source.ptr;
    struct bw_alias alias;
    struct bw_buf out = {0};
    while (bw_alias_next(&aliases, &alias)) {
        bw_buf_append(&out, at, (size_t)(alias.text.ptr - at));
        bw_buf_append_text(&out, alias.lua);
        at = alias.text.ptr + alias.text.len;
    }
    bw_buf_append(&out, at, (size_t)(aliases.end - at));
    struct bw_slice copy = bw_arena_copy(loader->arena, bw_buf_slice(&out));
    if (out.failed) loader->arena->failed = true;
    bw_buf_free(&out);
    return copy;
}

static struct bw_slice trim(struct bw_slice text)
{
    while (text.len && is_blank_char(*text.ptr)) text = (struct bw_slice){text.ptr + 1, text.len - 1};
    while (text.len && is_blank_char(text.ptr[text.len - 1])) text.len--;
    return text;
}

static bool grow(struct bw_loader *loader)
{
    struct bw_workflow *workflow = loader->workflow;
    if (workflow->expr_count < loader->expr_capacity) return true;
    size_t capacity = loader->expr_capacity ? loader->expr_capacity * 2 : 16;
    struct bw_expr *exprs = bw_arena_alloc(loader->arena, capacity * sizeof *exprs);
    struct bw_origin *origins = bw_arena_alloc(loader->arena, capacity * sizeof *origins);
    if (!exprs || !origins) return false;
    if (workflow->expr_count) {
        memcpy(exprs, workflow->exprs, workflow->expr_count * sizeof *exprs);
        memcpy(origins, loader->origins, workflow->expr_count * sizeof *origins);
    }
    workflow->exprs = exprs;
    loader->origins = origins;
    loader->expr_capacity = capacity;
    return true;
}

int32_t bw_expr_add(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_slice source, bool is_condition)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_slice raw = trim(source);
    struct bw_mark mark = bw_mark_inside(loader, node, (size_t)((raw.len ? raw.ptr : source.ptr) - node->text.ptr));
    if (!raw.len) {
        bw_load_error(loader, mark, "expr.empty", "write an expression, as in ${{ event.data.ref == 'refs/heads/main' }}",
                      "this expression is empty");
        return -1;
    }
    if (!grow(loader)) return -1;
    /* true and false are typed by YAML, which also writes them True and TRUE */
    struct bw_slice text = node->kind == BW_YAML_BOOL ? bw_slice_of(node->boolean ? "true" : "false") : raw;
    loader->origins[workflow->expr_count] = (struct bw_origin){node, raw};
    workflow->exprs[workflow->expr_count] = (struct bw_expr){rewrite(loader, text), mark, is_condition};
    return (int32_t)workflow->expr_count++;
}

void bw_expr_unclosed(struct bw_loader *loader, const struct bw_yaml_node *node, const char *open)
{
    const char *from = open + 3, *end = node->text.ptr + node->text.len;
    bool has_close = memmem(from, (size_t)(end - from), "}}", 2) != NULL;
    bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(open - node->text.ptr)), "expr.unclosed",
                  has_close ? "a quote or { inside it is not closed, so the }} belongs to that"
                            : "close it with }} (a ' #' begins a YAML comment: put quotes around the whole value)",
                  "this ${{ is not closed");
}

/* In bare text: ${{ outside of strings can only be a second way to say the same. */
static const char *find_hole(struct bw_slice text)
{
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; end - at >= 3;) {
        const char *behind = skip_opaque(at, end);
        if (behind == at && !memcmp(at, "${{", 3)) return at;
        at = behind > at ? behind : at + 1;
    }
    return NULL;
}

int32_t bw_expr_field(struct bw_loader *loader, const struct bw_yaml_node *node, bool is_condition)
{
    static const char one[] = "write one expression: combine with `and` and `or` inside one ${{ }}";
    struct bw_slice text = trim(node->text);
    const char *end = text.ptr + text.len, *hole;
    if (node->kind != BW_YAML_STRING && node->kind != BW_YAML_BOOL) {
        bw_load_error(loader, bw_mark_of(node), "expr.type", "write for example ${{ event.data.ref == 'refs/heads/main' }}",
                      "an expression is expected here, found %s", bw_yaml_kind_name(node->kind));
        return -1;
    }
    if (text.len >= 3 && !memcmp(text.ptr, "${{", 3)) {
        const char *from = text.ptr + 3, *close = bw_expr_end(from, end);
        if (!close) {
            bw_expr_unclosed(loader, node, text.ptr);
            return -1;
        }
        struct bw_slice rest = trim((struct bw_slice){close, (size_t)(end - close)});
        if (rest.len) {
            bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(rest.ptr - node->text.ptr)), "expr.mixed", one,
                          "there is text behind the expression");
            return -1;
        }
        return bw_expr_add(loader, node, (struct bw_slice){from, (size_t)(close - 2 - from)}, is_condition);
    }
    if ((hole = find_hole(text))) {
        bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(hole - node->text.ptr)), "expr.mixed", one,
                      "there is text in front of the expression");
        return -1;
    }
    return bw_expr_add(loader, node, node->text, is_condition);
}
