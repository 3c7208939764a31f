/* trace.h: what happens to a run, for people, while it happens: `bellwire run`, and what `bellwire test` shows of a test that failed. */
#ifndef BW_CMD_TRACE_H
#define BW_CMD_TRACE_H
#include "wire/channel.h"
#include <stdbool.h>
#include <stdio.h>

struct bw_slice bw_trace_output(const struct bw_message *message);                  /* of a BW_MSG_TRACE; empty if it has none */
void bw_trace_print(FILE *out, const struct bw_message *message, bool is_terminal); /* a line or two, or nothing */
#endif
