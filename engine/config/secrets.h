/* secrets.h: where secret values come from: {env: NAME}, {file: PATH}, {exec: [PROGRAM, ARGUMENT…]}, or a list of those (rotation). */
#ifndef BW_CONFIG_SECRETS_H
#define BW_CONFIG_SECRETS_H
#include "base/json.h"
#include "config/config.h"
#include "config/keys.h"

/* A map NAME → reference. Empty, missing and unreadable values are errors that name the cure. Each value is registered with
 * bw_log_redact() as soon as it is known. *out is malloc'd. */
void bw_secrets_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *folder, struct bw_secret **out, size_t *count);
void bw_secrets_free(struct bw_secret *secrets, size_t count);
/* Of those that the list `names` has: NAME → the value that counts, into the object `values`. */
void bw_secrets_append_named(const struct bw_secret *secrets, size_t count, const json_t *names, json_t *values);
#endif
