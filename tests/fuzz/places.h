/* places.h: where an error says that it is has to be a place of the text; and what a YAML text says, in other words. */
#ifndef BW_FUZZ_PLACES_H
#define BW_FUZZ_PLACES_H
#include "base/error.h"
#include "fuzz.h"

/* The character there, or the place behind the last one of a line. Columns count characters. NULL: there is none. */
const char *fuzz_find_place(struct bw_slice text, int line, int column);
/* It has a code and a message, names the file, and a place in it; that there are more errors than are shown has none. */
void fuzz_check_error(struct bw_slice text, const char *file, const struct bw_error *err);
void fuzz_check_errors(struct bw_slice text, const char *file, const struct bw_errors *errs);
/* The first document written as JSON; the caller frees ptr. Not always is that YAML for libyaml, which knows more line breaks and fewer characters
 * than JSON, and no keys beyond 1,024 bytes: then, and for a text that is no YAML, ptr is NULL. */
struct bw_slice fuzz_as_json(struct bw_slice text);
#endif
