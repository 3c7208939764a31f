#include "ingest/approval_page.h"
#include <stdio.h>
#include <time.h>

/* The hash is that of STYLE, as the test of this file reckons it: a browser takes no other style, and no script at all. */
#define STYLE                                                                                                       \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c}"        \
    ".message{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1.2rem}label{display:block;margin:1rem 0}"      \
    "label span{display:block;color:#555}input,select{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}" \
    "button{font:inherit;padding:.5rem 1.2rem;margin:1rem .5rem 0 0}.wrong{color:#a00000}.quiet{color:#555}"
#define STYLE_HASH "sha256-R4L3y0ozLJZ0zvbeXvQqXljVDOma5ncwDty39pzHWKM="

static const char headers[] =
    "Content-Security-Policy\0default-src 'none'; style-src '" STYLE_HASH "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\0"
    "Referrer-Policy\0no-referrer\0"
    "Cache-Control\0no-store";
const struct bw_slice bw_approval_headers = {headers, sizeof headers};

void bw_html_append(struct bw_buf *out, struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        const char *safe = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : c == '\'' ? "&#39;" : NULL;
        if (safe)
            bw_buf_append_text(out, safe);
        else
            bw_buf_append_char(out, c);
    }
}

static void html(struct bw_buf *out, const char *text)
{
    bw_html_append(out, bw_slice_of(text));
}

/* A value as a person types it. */
static void append_value(struct bw_buf *out, const json_t *value)
{
    struct bw_buf text = {0};
    if (json_is_string(value))
        bw_buf_append_slice(&text, bw_json_slice(value));
    else if (value && !json_is_null(value))
        bw_json_append(&text, value);
    bw_html_append(out, bw_buf_slice(&text));
    bw_buf_free(&text);
}

static void append_time(struct bw_buf *out, int64_t at_ms)
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm;
    char text[32];
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm)) bw_buf_append_text(out, text);
}

unsigned bw_approval_status(const struct bw_approval_query *query)
{
    static const unsigned statuses[] = {[BW_APPROVAL_LATER] = 503, [BW_APPROVAL_OPEN] = 200,    [BW_APPROVAL_NOTED] = 200,
                                        [BW_APPROVAL_WRONG] = 422, [BW_APPROVAL_DECIDED] = 200, [BW_APPROVAL_GONE] = 410};
    return statuses[query->answer];
}

/* ---- the form ---- */

static void append_option(struct bw_buf *out, const json_t *value, const char *shown, const json_t *selected)
{
    struct bw_buf one = {0}, other = {0};
    append_value(&one, value);
    append_value(&other, selected);
    bw_buf_append_text(out, "<option value=\"");
    bw_buf_append_slice(out, bw_buf_slice(&one));
    bw_buf_append_text(out, selected && bw_slice_equal(bw_buf_slice(&one), bw_buf_slice(&other)) ? "\" selected>" : "\">");
    bw_buf_append_text(out, shown ? shown : one.data ? one.data : "");
    bw_buf_append_text(out, "</option>");
    bw_buf_free(&one);
    bw_buf_free(&other);
}

static void append_select(struct bw_buf *out, const char *name, const json_t *schema, const json_t *choices, const json_t *selected)
{
    bool is_required = bw_json_bool(schema, "required", false);
    size_t index;
    json_t *choice;
    bw_buf_append_text(out, "<select name=\"form.");
    html(out, name);
    bw_buf_append_text(out, is_required ? "\" required>" : "\">");
    if (!selected) bw_buf_append_text(out, "<option value=\"\"></option>");
    if (choices)
        json_array_foreach(choices, index, choice) append_option(out, choice, NULL, selected);
    else {
        append_option(out, json_true(), "yes", selected);
        append_option(out, json_false(), "no", selected);
    }
    bw_buf_append_text(out, "</select>");
}

static void append_bound(struct bw_buf *out, const char *attribute, const json_t *value)
{
    if (!value) return;
    bw_buf_printf(out, " %s=\"", attribute);
    append_value(out, value);
    bw_buf_append_char(out, '"');
}

static void append_input(struct bw_buf *out, const char *name, const json_t *schema, const json_t *value)
{
    const char *type = bw_json_str(schema, "type", "any"), *format = bw_json_str(schema, "format", "");
    bool is_number = !strcmp(type, "integer") || !strcmp(type, "number");
    bw_buf_append_text(out, "<input name=\"form.");
    html(out, name);
    bw_buf_printf(out, "\" type=\"%s\"", is_number ? "number" : !strcmp(format, "email") ? "email" : !strcmp(format, "uri") ? "url" : "text");
    if (is_number) bw_buf_printf(out, " step=\"%s\"", *type == 'i' ? "1" : "any");
    if (is_number) append_bound(out, "min", json_object_get(schema, "min"));
    if (is_number) append_bound(out, "max", json_object_get(schema, "max"));
    append_bound(out, "maxlength", json_object_get(schema, "max_length"));
    append_bound(out, "value", value);
    bw_buf_append_text(out, bw_json_bool(schema, "required", false) ? " required>" : ">");
}

static void append_field(struct bw_buf *out, const char *name, const json_t *schema, const json_t *given)
{
    const json_t *choices = json_object_get(schema, "enum"), *value = given ? given : json_object_get(schema, "default");
    const char *doc = bw_json_str(schema, "doc", "");
    bw_buf_append_text(out, "<label>");
    html(out, name);
    if (*doc) {
        bw_buf_append_text(out, "<span>");
        html(out, doc);
        bw_buf_append_text(out, "</span>");
    }
    if (choices || !strcmp(bw_json_str(schema, "type", "any"), "boolean"))
        append_select(out, name, schema, choices, value);
    else
        append_input(out, name, schema, value);
    bw_buf_append_text(out, "</label>\n");
}

static void append_actor(const struct bw_approval_query *query, struct bw_buf *out)
{
    if (*query->token.actor) {
        bw_buf_append_text(out, "<p class=\"quiet\">You decide as ");
        html(out, query->token.actor);
        bw_buf_append_text(out, "</p>\n");
        return;
    }
    bw_buf_append_text(out, "<label>Your name<input name=\"by\" type=\"text\" maxlength=\"200\" autocomplete=\"name\"");
    append_bound(out, "value", json_object_get(query->given, "by"));
    bw_buf_append_text(out, "></label>\n");
}

/* Who is asked, and how many of them must agree. */
static void append_need(const struct bw_approval_query *query, struct bw_buf *out)
{
    const json_t *to = json_object_get(query->question, "to"), *votes;
    const char *choice;
    size_t index;
    json_t *name;
    if (json_array_size(to) < 2) return;
    bw_buf_printf(out, "<p class=\"quiet\">%lld must choose the same, of: ", (long long)bw_json_int(query->question, "need", 1));
    json_array_foreach(to, index, name)
    {
        if (index) bw_buf_append_text(out, ", ");
        append_value(out, name);
    }
    bw_buf_append_text(out, "</p>\n");
    json_object_foreach(query->tally, choice, votes)
    {
        bw_buf_append_text(out, "<p class=\"quiet\">");
        html(out, choice);
        bw_buf_append_text(out, ": ");
        append_value(out, votes);
        bw_buf_append_text(out, "</p>\n");
    }
}

static void append_due(const struct bw_approval_query *query, struct bw_buf *out)
{
    if (!query->due_ms) return;
    bw_buf_append_text(out, "<p class=\"quiet\">Open until ");
    append_time(out, query->due_ms);
    bw_buf_append_text(out, "</p>\n");
}

static void append_question(const struct bw_approval_query *query, struct bw_buf *out)
{
    const json_t *given = json_object_get(query->given, "form");
    const char *name;
    json_t *schema, *choice;
    size_t index;
    bw_buf_append_text(out, "<p class=\"message\">");
    append_value(out, json_object_get(query->question, "message"));
    bw_buf_append_text(out, "</p>\n");
    if (query->answer == BW_APPROVAL_WRONG) {
        bw_buf_append_text(out, "<p class=\"wrong\" role=\"alert\">");
        html(out, query->error.message);
        bw_buf_append_text(out, "</p>\n");
    }
    /* Enter in a field presses the first button: that one does nothing. */
    bw_buf_append_text(out, "<form method=\"post\"><button disabled hidden></button>\n");
    json_object_foreach(json_object_get(query->question, "form"), name, schema) append_field(out, name, schema, json_object_get(given, name));
    append_actor(query, out);
    json_array_foreach(json_object_get(query->question, "choices"), index, choice)
    {
        bw_buf_append_text(out, "<button name=\"choice\" value=\"");
        append_value(out, choice);
        bw_buf_append_text(out, "\">");
        append_value(out, choice);
        bw_buf_append_text(out, "</button>\n");
    }
    bw_buf_append_text(out, "</form>\n");
    append_need(query, out);
    append_due(query, out);
}

static void append_decision(const struct bw_approval_query *query, struct bw_buf *out)
{
    const char *choice = bw_json_str(query->decision, "choice", ""), *by = bw_json_str(query->decision, "by", ""), *name;
    int64_t at_ms = bw_json_int(query->decision, "at", 0);
    json_t *value;
    const char *what = query->answer == BW_APPROVAL_NOTED ? "Your vote: " : *choice ? "Decided: " : "Decided";
    bw_buf_printf(out, "<p class=\"message\">%s<strong>", what);
    html(out, choice);
    bw_buf_append_text(out, "</strong></p>\n<p class=\"quiet\">by ");
    html(out, by);
    if (at_ms) {
        bw_buf_append_text(out, ", ");
        append_time(out, at_ms);
    }
    bw_buf_append_text(out, "</p>\n");
    json_object_foreach(json_object_get(query->decision, "form"), name, value)
    {
        bw_buf_append_text(out, "<p class=\"quiet\">");
        html(out, name);
        bw_buf_append_text(out, ": ");
        append_value(out, value);
        bw_buf_append_text(out, "</p>\n");
    }
    if (query->answer != BW_APPROVAL_NOTED) return;
    append_need(query, out);
    append_due(query, out);
}

void bw_approval_page(const struct bw_approval_query *query, struct bw_buf *out)
{
    bw_buf_append_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
                            "<meta name=\"robots\" content=\"noindex\"><title>Approval</title><style>" STYLE "</style></head>\n<body>\n");
    switch (query->answer) {
    case BW_APPROVAL_OPEN:
    case BW_APPROVAL_WRONG: append_question(query, out); break;
    case BW_APPROVAL_NOTED:
    case BW_APPROVAL_DECIDED: append_decision(query, out); break;
    case BW_APPROVAL_GONE:
        bw_buf_append_text(out, "<p class=\"message\">There is nothing to decide any more: the time is over, or the run has ended.</p>\n");
        break;
    case BW_APPROVAL_LATER: bw_buf_append_text(out, "<p class=\"message\">This cannot be decided just now. Try again in a moment.</p>\n"); break;
    }
    bw_buf_append_text(out, "</body></html>\n");
}

void bw_approval_json(const struct bw_approval_query *query, struct bw_buf *out)
{
    static const char *const names[] = {[BW_APPROVAL_LATER] = "later", [BW_APPROVAL_OPEN] = "open",       [BW_APPROVAL_NOTED] = "noted",
                                        [BW_APPROVAL_WRONG] = "wrong", [BW_APPROVAL_DECIDED] = "decided", [BW_APPROVAL_GONE] = "gone"};
    bw_buf_printf(out, "{\"status\":\"%s\"", names[query->answer]);
    if (query->answer == BW_APPROVAL_WRONG) {
        bw_buf_append_text(out, ",\"error\":");
        bw_json_append_error(out, &query->error, NULL, (struct bw_slice){0});
    }
    if (query->decision) {
        bw_buf_printf(out, ",\"new\":%s,\"%s\":", query->is_new ? "true" : "false", query->answer == BW_APPROVAL_NOTED ? "vote" : "decision");
        bw_json_append(out, query->decision);
    }
    if (query->answer == BW_APPROVAL_NOTED) {
        bw_buf_printf(out, ",\"need\":%lld,\"votes\":", (long long)bw_json_int(query->question, "need", 1));
        bw_json_append(out, query->tally);
    }
    bw_buf_append_text(out, "}\n");
}
