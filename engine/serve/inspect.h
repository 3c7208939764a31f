/* inspect.h: what would the engine load? Starts one run worker and the plugin hosts, lets them load the catalogue, and ends them again.
 * The same rooms and the same processes as `serve`: there is no second loader. */
#ifndef BW_SERVE_INSPECT_H
#define BW_SERVE_INSPECT_H
#include "base/json.h"
#include "config/config.h"
#include "store/store.h"

/* BW_MSG_CATALOG_LOADED with all errors (plugins too); new reference. only_file: one workflow file instead of the folder, or NULL. NULL with err when
 * the processes could not do it at all. */
json_t *bw_inspect_catalog(const struct bw_config *config, const char *only_file, struct bw_error *err);
/* The same, with the bundled plugins that this instance does not configure: what could be used. */
json_t *bw_inspect_all(const struct bw_config *config, struct bw_error *err);
/* The same of a revision that is stored, which an earlier version of Bellwire may have loaded otherwise. */
json_t *bw_inspect_revision(const struct bw_config *config, const struct bw_revision *revision, struct bw_error *err);
/* The number of errors that the list adds to errs. */
size_t bw_inspect_errors(const json_t *loaded, struct bw_errors *errs);
size_t bw_inspect_doubts(const json_t *loaded, struct bw_errors *doubts); /* what is hardly meant, and no error */
#endif
