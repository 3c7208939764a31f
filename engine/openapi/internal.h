/* What the files of this room share. */
#ifndef BW_OPENAPI_INTERNAL_H
#define BW_OPENAPI_INTERNAL_H
#include "openapi/openapi.h"

struct bw_converting {
    const json_t *spec;
    struct bw_openapi *out;
    json_t *config;  /* fields of plugin.yaml */
    json_t *schemes; /* names of the security schemes that are written already */
    json_t *names;   /* names of actions that are taken */
    char version[32];
    bool is_out_of_memory;
};

/* Follows $ref, as often as need be. NULL: it leads nowhere, out of the file, or in a circle. Borrowed. */
const json_t *bw_openapi_resolve(const json_t *spec, const json_t *node);
void bw_openapi_note(struct bw_converting *converting, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "listPets", "pets/list all" → "list_pets", "pets_list_all"; never empty, at most 60 bytes. malloc'd. */
char *bw_openapi_snake(const char *text);
/* The first sentence, on one line. New reference. */
json_t *bw_openapi_doc(const char *text);

/* fields.c: a schema of the description as a field of ours: what it cannot say is "any". for_request: what is read-only is left out. New reference.
 */
json_t *bw_openapi_field(const json_t *spec, const json_t *schema, bool for_request);
/* auth.c: how the operation proves who sends it: the names of security schemes that are sent together. Writes those that it meets first. New
 * reference. */
json_t *bw_openapi_auth(struct bw_converting *converting, const json_t *operation, const char *where);
/* operation.c: adds the file of an action. */
void bw_openapi_operation(struct bw_converting *converting, const char *method, const char *path, const json_t *item, const json_t *operation,
                          const char *only);

/* lua_text.c: values as Lua writes them. `indent`: of the line that it begins on; nested tables have lines of their own where they do not fit into
 * one. */
void bw_lua_append_string(struct bw_buf *out, struct bw_slice text);
void bw_lua_append_key(struct bw_buf *out, const char *key);                      /* name, or ["na-me"] */
void bw_lua_append_index(struct bw_buf *out, const char *table, const char *key); /* input.name, or input["na-me"] */
void bw_lua_append_value(struct bw_buf *out, const json_t *value, int indent);
#endif
