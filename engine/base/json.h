/* json.h: the only door to jansson, for everything that is not per-webhook hot: frame heads, configuration, plugin inputs and outputs.
 * Nobody else includes <jansson.h>. Call bw_json_setup() once before threads start. */
#ifndef BW_BASE_JSON_H
#define BW_BASE_JSON_H
#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>

void bw_json_setup(void); /* json_object_seed */
/* Any top-level type, duplicate keys refused, depth at most 64, NUL refused. Error code json.syntax with line and column. New reference. */
json_t *bw_json_load(struct bw_slice text, struct bw_error *err);
/* The head of a frame, an object: of a key that is twice in it the last one counts, and a text may hold NUL. NULL: it is none. New reference. */
json_t *bw_json_load_head(struct bw_slice text);
void bw_json_append(struct bw_buf *out, const json_t *value); /* compact, keys in insertion order, reals by bw_json_real_append */
/* {code, message, class?, hint?, file?, line?, column?, step?}; secrets are taken out of the message. class NULL and step empty: left out. */
void bw_json_append_error(struct bw_buf *out, const struct bw_error *err, const char *class, struct bw_slice step);
struct bw_error bw_json_error(const json_t *error); /* the other way round: without code "error", without the rest none */
/* Readers with a default for frame heads and configuration; a wrong type reads as the default. */
const char *bw_json_str(const json_t *object, const char *key, const char *otherwise);
int64_t bw_json_int(const json_t *object, const char *key, int64_t otherwise);
bool bw_json_bool(const json_t *object, const char *key, bool otherwise);
struct bw_slice bw_json_slice(const json_t *string); /* {NULL,0} if it is no string */
#endif
