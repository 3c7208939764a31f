/* openapi.h: an OpenAPI description (3.0, 3.1) becomes the files of a plugin in Lua: an action for each operation, readable and to be changed.
 *
 * What Bellwire's schemas cannot say (oneOf, patterns, closed numbers) is left to the server to judge; what cannot be sent at all (multipart,
 * cookies, objects in a query) is told in a note, and never left out in silence. A description is input like any other: references that lead nowhere,
 * in circles or out of the file, and schemas without end, are errors or end at a depth. Any thread; nothing is kept. */
#ifndef BW_OPENAPI_OPENAPI_H
#define BW_OPENAPI_OPENAPI_H
#include "base/error.h"
#include "base/json.h"
#include "base/made.h"

struct bw_openapi_options {
    const char *name;     /* of the plugin, [a-z][a-z0-9_-]*; NULL: made of the description's title */
    const char *base_url; /* NULL: the description's first server, if that is absolute */
    const char *only;     /* shell pattern over the names of actions, without the plugin's; NULL: all */
};
struct bw_openapi {
    char *name, *title, *base_url; /* base_url "": it has to be configured */
    struct bw_made made; /* below the plugin's folder: plugin.yaml, and one for each action in the order of the description; notes: "POST /pets: …" */
    struct bw_buf auth; /* Lua: the entries of the table of security schemes in lib/api.lua */
};

/* JSON or YAML; new reference. Codes json.*, yaml.*, with the place. */
json_t *bw_openapi_load(struct bw_slice text, const char *file, struct bw_error *err);
/* False: err (openapi.*) says why; out is empty then. */
bool bw_openapi_convert(const json_t *spec, const struct bw_openapi_options *options, struct bw_openapi *out, struct bw_error *err);
void bw_openapi_free(struct bw_openapi *out);
#endif
