/* schema.h: the small schema language of semantics.md 3.1 for inputs and outputs: type, required, default, enum, min, max,
 * format (email, uri, date-time, uuid), items, properties, doc, max_items, max_length; type is one of string, integer, number, boolean, object,
 * array, any. A schema for a map of fields is {NAME: {type: …, required: true}, …}. Unknown schema keys are a load error with "did you mean". */
#ifndef BW_BASE_SCHEMA_H
#define BW_BASE_SCHEMA_H
#include "base/error.h"
#include "base/json.h"

struct bw_schema; /* immutable after load: any thread */
/* fields: a JSON object name → schema. Errors: schema.invalid with a JSON path in the message. NULL fields = anything goes. */
struct bw_schema *bw_schema_load(const json_t *fields, struct bw_error *err);
void bw_schema_free(struct bw_schema *schema);
/* Checks an object; absent members with a default are set in it (the value is changed in place). Members that the schema does not name are
 * refused ("did you mean") unless `open`. An empty object where an
 * array is asked for becomes an empty array (Lua writes both as {}). Error code `prefix` + ".type|.missing|.unknown|.enum|.range|.format", e.g.
 * input.missing. */
bool bw_schema_check(const struct bw_schema *schema, json_t *object, bool open, const char *prefix, struct bw_error *err);
/* The same, not open, and `pointer` (RFC 6901; must be empty) says where in the object it is that does not fit; a member that is missing or unknown
 * by the pointer that it has or would have. */
bool bw_schema_check_placed(const struct bw_schema *schema, json_t *object, const char *prefix, struct bw_buf *pointer, struct bw_error *err);
/* A schema of one value of any type: {type: object, properties: {…}}. */
struct bw_schema *bw_schema_load_value(const json_t *value, struct bw_error *err);
/* Checks a value that somebody else has made: members that the schema does not name are his business, at every level, and nothing is filled in or
 * changed. False: `pointer` (RFC 6901; "" = the whole) is what does not fit, and err says why without it, and without anything of the value. */
bool bw_schema_check_value(const struct bw_schema *schema, json_t *value, const char *prefix, struct bw_buf *pointer, struct bw_error *err);
#endif
