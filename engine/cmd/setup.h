/* setup.h: what most subcommands begin and end with: the configuration, the printing of errors. */
#ifndef BW_CMD_SETUP_H
#define BW_CMD_SETUP_H
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "config/config.h"
#include <stdio.h>

/* Errors for people on stderr, one a line; with as_json one JSON object a line on stdout. */
void bw_print_errors(const struct bw_errors *errs, bool as_json);
void bw_print_error(const char *command, const struct bw_error *err);
/* Loads the configuration or prints why not (NULL). */
struct bw_config *bw_setup_config(const char *command, const char *path);
/* The same for a command that uses secrets: programs are run for those that come from them. */
struct bw_config *bw_setup_config_with_secrets(const char *command, const char *path);
/* What others may have written, for people: on a terminal a control character would do something, so all but line breaks and tabs are written as
 * JSON writes them. */
void bw_print_text(FILE *out, struct bw_slice text);
/* Prints and empties the buffer. */
void bw_print_line(struct bw_buf *line);
/* "12:04:05.123" of today or "2026-11-23 12:04:05", local time is never used: UTC; 24 bytes. */
const char *bw_print_time(int64_t wall_ms, char out[32]);
/* What starts a workflow, as in BW_MSG_CATALOG_LOADED: "on github.push, 0 9 * * * UTC, by hand". */
void bw_trigger_text(const json_t *workflow, struct bw_buf *out);
/* What a run waits for that is delayed, blocked or held, or that has called one that is, with figures; else nothing. False: said on stderr. */
struct bw_reader;
bool bw_wait_text(struct bw_reader *reader, int64_t run_id, struct bw_buf *out);
#endif
