#include "base/log.h"
#include "base/clock.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALUE_MAX 16384 /* bytes of one value that are shown: a script may raise an error of 10 MB */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static enum bw_log_level least_level = BW_LOG_INFO; /* these three are written before threads start */
static enum bw_log_format line_format = BW_LOG_JSON;
static char process_name[32] = "bellwire";
static atomic_bool torn;    /* the last line has only begun: the next one must not be glued to it */
static atomic_uint dropped; /* lines that stderr did not take; the next line that it takes says how many */

void bw_log_setup(enum bw_log_level least, enum bw_log_format format, const char *process)
{
    least_level = least;
    line_format = format;
    snprintf(process_name, sizeof process_name, "%s", process);
}

bool bw_log_level_named(const char *name, enum bw_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(level_names[i], name) != 0) continue;
        *level = (enum bw_log_level)i;
        return true;
    }
    return false;
}

bool bw_log_enabled(enum bw_log_level level)
{
    return level >= least_level && level < BW_LOG_OFF;
}

/* The value without secrets, in scratch or as it was, at most VALUE_MAX bytes. Cut after redaction, so that no half secret is left. */
static struct bw_slice clean(struct bw_slice value, struct bw_buf *scratch)
{
    bw_buf_clear(scratch);
    bw_redact_append(scratch, value);
    if (scratch->len > VALUE_MAX) {
        size_t whole = scratch->len;
        scratch->len = bw_utf8_cut(scratch->data, VALUE_MAX);
        bw_buf_printf(scratch, "[cut: %zu bytes]", whole);
    }
    return bw_buf_slice(scratch);
}

static bool field_value(const struct bw_log_field *field, char number[24], struct bw_slice *out)
{
    switch (field->kind) {
    case BW_LOG_STRING: *out = bw_slice_of(field->string); return field->string != NULL;
    case BW_LOG_SLICE: *out = field->slice; return true;
    case BW_LOG_INTEGER: *out = (struct bw_slice){number, (size_t)snprintf(number, 24, "%lld", (long long)field->integer)}; return true;
    case BW_LOG_BOOLEAN: *out = bw_slice_of(field->boolean ? "true" : "false"); return true;
    case BW_LOG_END: break;
    }
    return false;
}

static void append_json(struct bw_buf *line, const struct bw_log_field *field, struct bw_slice value, bool quoted)
{
    bw_buf_append_char(line, ',');
    bw_buf_append_json_string(line, bw_slice_of(field->name));
    bw_buf_append_char(line, ':');
    if (quoted)
        bw_buf_append_json_string(line, value);
    else
        bw_buf_append_slice(line, value);
}

static bool is_word(struct bw_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] >= 0x7f || value.ptr[i] == '"' || value.ptr[i] == '\\') return false;
    return value.len > 0;
}

static void append_text(struct bw_buf *line, const struct bw_log_field *field, struct bw_slice value)
{
    bw_buf_append_char(line, ' ');
    bw_buf_append_text(line, field->name);
    bw_buf_append_char(line, '=');
    if (is_word(value))
        bw_buf_append_slice(line, value);
    else
        bw_buf_append_json_string(line, value); /* also keeps terminal escapes out of the terminal */
}

static void append_head(struct bw_buf *line, enum bw_log_level level, const char *name)
{
    char at[BW_CLOCK_TEXT];
    bw_clock_text(bw_clock_wall_ms(), at);
    if (line_format == BW_LOG_JSON)
        bw_buf_printf(line, "{\"at\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"log\":\"%s\"", at, level_names[level], process_name, name);
    else
        bw_buf_printf(line, "%s %-5s %s %s", at, level_names[level], process_name, name);
}

static void append_field(struct bw_buf *line, const struct bw_log_field *field, struct bw_buf *scratch)
{
    char number[24];
    struct bw_slice value;
    if (!field_value(field, number, &value)) return;
    bool quoted = field->kind == BW_LOG_STRING || field->kind == BW_LOG_SLICE;
    struct bw_slice shown = clean(value, scratch);
    line->failed |= scratch->failed;
    /* A redacted number is a text. */
    if (line_format == BW_LOG_JSON)
        append_json(line, field, shown, quoted || !bw_slice_equal(shown, value));
    else
        append_text(line, field, shown);
}

/* One write a line: lines of several threads and processes on one pipe then do not mix. Only a write that was cut short goes on. */
static bool put(const struct bw_buf *line)
{
    for (size_t done = 0; done < line->len;) {
        ssize_t wrote = write(STDERR_FILENO, line->data + done, line->len - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) { /* full or closed: waiting here would stop the engine */
            if (done) torn = true;
            return false;
        }
        done += (size_t)wrote;
    }
    return true;
}

void bw_log_write(enum bw_log_level level, const char *name, const struct bw_log_field *fields)
{
    if (!bw_log_enabled(level)) return;
    struct bw_buf line = {0}, scratch = {0};
    int saved = errno; /* logging must not change what the caller is about to report */
    bw_buf_reserve(&line, 500);
    if (atomic_exchange(&torn, false)) bw_buf_append_char(&line, '\n');
    append_head(&line, level, name);
    for (; fields->kind != BW_LOG_END; fields++) append_field(&line, fields, &scratch);
    unsigned lost = atomic_exchange(&dropped, 0);
    if (lost) append_field(&line, &BW_INT("lines_lost_before", lost), &scratch);
    bw_buf_append_text(&line, line_format == BW_LOG_JSON ? "}\n" : "\n");
    if (line.failed || !put(&line)) atomic_fetch_add(&dropped, lost + 1);
    bw_buf_free(&line);
    bw_buf_free(&scratch);
    errno = saved;
}

void bw_log_error(enum bw_log_level level, const char *name, const struct bw_error *err)
{
    struct bw_log_field fields[8] = {BW_STR("code", err->code), BW_STR("message", err->message)};
    size_t count = 2;
    if (err->hint[0]) fields[count++] = BW_STR("hint", err->hint);
    if (err->file[0]) fields[count++] = BW_STR("file", err->file);
    if (err->line > 0) fields[count++] = BW_INT("line", err->line);
    if (err->column > 0) fields[count++] = BW_INT("column", err->column);
    fields[count].kind = BW_LOG_END;
    bw_log_write(level, name, fields);
}
