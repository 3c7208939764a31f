/* embedded.h: data files that are part of the binary (scripts/embed.cmake). Tables end with a NULL name; name is the file's name without its last
 * ending.
 */
#ifndef BW_BASE_EMBEDDED_H
#define BW_BASE_EMBEDDED_H
#include <stddef.h>

struct bw_embedded {
    const char *name;
    const char *data; /* NUL-terminated behind len */
    size_t len;
};
extern const struct bw_embedded bw_embedded_schemes[];   /* engine/source/schemes, by name */
extern const struct bw_embedded bw_embedded_sql[];       /* engine/store/schema, by name */
extern const struct bw_embedded bw_embedded_templates[]; /* engine/cmd/templates, by name */
#endif
