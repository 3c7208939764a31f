/* log.h: one JSON object a line on stderr (or text for people). Any thread; a line is one write(2).
 *
 * Call: bw_log(BW_LOG_INFO, "delivery.accepted", BW_STR("event", id), BW_INT("status", 202));
 * The name is dotted and stable; texts that people read go into a field "message". Values are JSON-escaped, so a field can
 * never break a line. Secrets: register every secret value with bw_log_redact(); it is replaced by [secret:NAME] in every
 * field at the sink, also in its base64, URL-encoded and JSON-escaped forms (values of 8 bytes or more); a secret stays registered
 * until the process ends. A value of more than 16 KiB is cut and says so.
 * A line: at (RFC 3339), level, process, log (the name), then the fields in their order. Nothing can fail for the caller: what stderr does
 * not take is counted, and the next line that it takes has the count in lines_lost_before. */
#ifndef BW_BASE_LOG_H
#define BW_BASE_LOG_H
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

enum bw_log_level { BW_LOG_DEBUG, BW_LOG_INFO, BW_LOG_WARN, BW_LOG_ERROR, BW_LOG_OFF };
enum bw_log_format { BW_LOG_JSON, BW_LOG_TEXT };
enum bw_log_kind { BW_LOG_END, BW_LOG_STRING, BW_LOG_SLICE, BW_LOG_INTEGER, BW_LOG_BOOLEAN };
struct bw_log_field {
    enum bw_log_kind kind;
    const char *name;
    union {
        const char *string; /* NULL = the field is left out */
        struct bw_slice slice;
        int64_t integer;
        bool boolean;
    };
};
#define BW_STR(field, value) ((struct bw_log_field){.kind = BW_LOG_STRING, .name = (field), .string = (value)})
#define BW_SLC(field, value) ((struct bw_log_field){.kind = BW_LOG_SLICE, .name = (field), .slice = (value)})
#define BW_INT(field, value) ((struct bw_log_field){.kind = BW_LOG_INTEGER, .name = (field), .integer = (int64_t)(value)})
#define BW_BOOL(field, value) ((struct bw_log_field){.kind = BW_LOG_BOOLEAN, .name = (field), .boolean = (value)})
/* At least one field is required: C has no empty compound literal. */
#define bw_log(level, name, ...) bw_log_write((level), (name), (const struct bw_log_field[]){__VA_ARGS__, {.kind = BW_LOG_END}})
void bw_log_write(enum bw_log_level level, const char *name, const struct bw_log_field *fields);
void bw_log_error(enum bw_log_level level, const char *name, const struct bw_error *err); /* code, message, hint, file, line, column */
void bw_log_setup(enum bw_log_level least, enum bw_log_format format,
                  const char *process);                              /* before threads start; process: "engine", "worker", "host" */
bool bw_log_level_named(const char *name, enum bw_log_level *level); /* false: no level has that name, and *level is as it was */
bool bw_log_enabled(enum bw_log_level level);                        /* lets hot paths skip the work */
void bw_log_redact(const char *name, struct bw_slice value);         /* at any time, by any thread; without memory all text is hidden from then on */
/* Appends text with every registered secret replaced; returns how many were. For error texts and step outputs. The beginning of a secret
 * (8 bytes or more) at the very end of the text counts too: the text may have been cut there. */
unsigned bw_redact_append(struct bw_buf *out, struct bw_slice text);
#endif
