/* Expressions as text: where they end, what their tokens are, and the aliases != && || ! that people bring from other languages. */
#include "workflow/internal.h"

static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_name(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

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

bool bw_token_next(const char **at, const char *end, struct bw_token *token)
{
    const char *start = *at;
    while (start < end && (*start == ' ' || *start == '\t' || *start == '\n' || *start == '\r')) start++;
    if (start >= end) return false;
    const char *behind = skip_literal(start, end);
    token->kind = BW_TOKEN_STRING;
    if (behind == start && is_name_start(*start)) {
        token->kind = BW_TOKEN_NAME;
        while (behind < end && is_name(*behind)) behind++;
    } else if (behind == start) {
        token->kind = BW_TOKEN_OTHER;
        behind++;
    }
    token->text = (struct bw_slice){start, (size_t)(behind - start)};
    *at = behind;
    return true;
}

const char *bw_expr_end(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        const char *behind = skip_literal(at, end);
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

/* Same length where it can be, so that Lua's columns stay near; `not ` and `and` need more room. */
static struct bw_slice rewrite(struct bw_loader *loader, struct bw_slice source)
{
    const char *at = source.ptr, *end = at + source.len;
    struct bw_buf out = {0};
    while (at < end) {
        const char *behind = skip_literal(at, end);
        size_t left = (size_t)(end - at);
        if (behind > at) {
            bw_buf_append(&out, at, (size_t)(behind - at));
            at = behind;
        } else if (left >= 2 && at[0] == '!' && at[1] == '=') {
            bw_buf_append_text(&out, "~=");
            at += 2;
        } else if (left >= 2 && at[0] == '&' && at[1] == '&') {
            bw_buf_append_text(&out, " and ");
            at += 2;
        } else if (left >= 2 && at[0] == '|' && at[1] == '|') {
            bw_buf_append_text(&out, " or ");
            at += 2;
        } else if (at[0] == '!') {
            bw_buf_append_text(&out, " not ");
            at++;
        } else {
            bw_buf_append_char(&out, *at++);
        }
    }
    struct bw_slice copy = bw_arena_copy(loader->arena, bw_buf_slice(&out));
    if (out.failed) loader->arena->failed = true;
    bw_buf_free(&out);
    return copy;
}

static bool is_blank(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!memchr(" \t\r\n", text.ptr[i], 4)) return false;
    return true;
}

int32_t bw_expr_add(struct bw_loader *loader, struct bw_slice source, struct bw_mark mark, bool is_condition)
{
    struct bw_workflow *workflow = loader->workflow;
    if (is_blank(source)) {
        bw_load_error(loader, mark, "expr.empty", "write an expression between ${{ and }}", "this expression is empty");
        return -1;
    }
    if (workflow->expr_count == loader->expr_capacity) {
        size_t capacity = loader->expr_capacity ? loader->expr_capacity * 2 : 16;
        struct bw_expr *grown = bw_arena_alloc(loader->arena, capacity * sizeof *grown);
        if (!grown) return -1;
        if (workflow->expr_count) memcpy(grown, workflow->exprs, workflow->expr_count * sizeof *grown);
        workflow->exprs = grown;
        loader->expr_capacity = capacity;
    }
    workflow->exprs[workflow->expr_count] = (struct bw_expr){rewrite(loader, source), mark, is_condition};
    return (int32_t)workflow->expr_count++;
}

int32_t bw_expr_field(struct bw_loader *loader, const struct bw_yaml_node *node, bool is_condition)
{
    struct bw_slice text = node->text;
    size_t start = 0;
    if (node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP || node->kind == BW_YAML_NULL) {
        bw_load_error(loader, bw_mark_of(node), "expr.type", "write for example ${{ event.data.ref == 'refs/heads/main' }}", "an expression is expected here, found %s", bw_yaml_kind_name(node->kind));
        return -1;
    }
    while (start < text.len && memchr(" \t\r\n", text.ptr[start], 4)) start++;
    if (text.len - start >= 3 && !memcmp(text.ptr + start, "${{", 3)) {
        const char *end = bw_expr_end(text.ptr + start + 3, text.ptr + text.len);
        if (!end) {
            bw_load_error(loader, bw_mark_inside(loader, node, start), "expr.unclosed", "close it with }} (a ' #' begins a YAML comment: put quotes around the whole value)", "this ${{ is not closed");
            return -1;
        }
        if (!is_blank((struct bw_slice){end, (size_t)(text.ptr + text.len - end)})) {
            bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(end - text.ptr)), "expr.trailing", "write one expression: combine with `and` and `or` inside ${{ }}", "there is text behind the expression");
            return -1;
        }
        size_t from = start + 3;
        while (from < text.len && text.ptr[from] == ' ') from++;
        return bw_expr_add(loader, (struct bw_slice){text.ptr + from, (size_t)(end - 2 - text.ptr) - from}, bw_mark_inside(loader, node, from), is_condition);
    }
    return bw_expr_add(loader, text, bw_mark_inside(loader, node, 0), is_condition);
}
