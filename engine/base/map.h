/* map.h: a hash map from byte strings to pointers. Keys are copied, values are borrowed. One thread at a time (reading
 * from several threads is fine while nobody writes). Keyed SipHash with a per-process random key: hostile keys cannot
 * make it slow. Iteration order is insertion order as long as nothing is removed. */
#ifndef BW_BASE_MAP_H
#define BW_BASE_MAP_H
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

struct bw_map;
struct bw_map *bw_map_new(void);                                       /* NULL without memory */
void bw_map_free(struct bw_map *map, void (*free_value)(void *));      /* free_value may be NULL; map may be NULL */
bool bw_map_set(struct bw_map *map, struct bw_slice key, void *value); /* replaces; false without memory */
void *bw_map_get(const struct bw_map *map, struct bw_slice key);       /* NULL = absent */
void *bw_map_remove(struct bw_map *map, struct bw_slice key);          /* the removed value or NULL */
size_t bw_map_count(const struct bw_map *map);
/* for (size_t i = 0; bw_map_next(map, &i, &key, &value);) — the map must not change meanwhile, except removal of the current key */
bool bw_map_next(const struct bw_map *map, size_t *position, struct bw_slice *key, void **value);
#endif
