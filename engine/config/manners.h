/* manners.h: what a source says to its sender: the answer to what it has taken (`acknowledge`), and which content types it takes at all (`accepts`).
 * Said by a scheme or by a source in the same words; what the source says counts. */
#ifndef BW_CONFIG_MANNERS_H
#define BW_CONFIG_MANNERS_H
#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"

struct bw_acknowledge { /* zero-initialise; status 0: 202, or 200 of what was there already, with the engine's own body */
    unsigned status;    /* 2xx, also of what was there already */
    bool has_body;      /* false: the engine's own body, if the status may have one */
    char *type;         /* of the body; NULL: JSON */
    struct bw_buf body;
    struct bw_buf headers; /* name, NUL, value, NUL, and so on */
};
struct bw_accepts {  /* zero-initialise; without patterns: any content type */
    char **patterns; /* the first that fits decides: "type/subtype" in lower case, one '*' in it is any text; with '!' in front: not taken */
    size_t count;
    struct bw_buf header; /* "Accept", NUL, those that are taken, NUL: of a 415 */
    struct bw_buf body;   /* and its body, JSON */
};
/* map, list: NULL is fine. Every fault goes to errs, with its place in the file. */
void bw_acknowledge_read(const char *file, struct bw_errors *errs, const struct bw_yaml_node *map, struct bw_acknowledge *out);
bool bw_acknowledge_can_have(struct bw_slice name, struct bw_slice value); /* as a header */
void bw_acknowledge_clear(struct bw_acknowledge *acknowledge);
void bw_accepts_read(const char *file, struct bw_errors *errs, const struct bw_yaml_node *list, struct bw_accepts *out);
void bw_accepts_clear(struct bw_accepts *accepts);
bool bw_accepts_takes(const struct bw_accepts *accepts, struct bw_slice type); /* without its parameters; empty: there is none */
#endif
