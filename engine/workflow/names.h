/* names.h: what every expression knows by name: data, helpers and libraries. What a foreach adds (item, index and the name of `as`) is not among them.
 * The loader holds expressions to this list; the lua room gives each of them its meaning. */
#ifndef BW_WORKFLOW_NAMES_H
#define BW_WORKFLOW_NAMES_H
#include "base/buf.h"

extern const char *const bw_expr_names[]; /* ends with NULL */
extern const size_t bw_expr_name_count;
bool bw_expr_knows(struct bw_slice name);
#endif
