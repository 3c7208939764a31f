/* yaml_tree.h: a part of a YAML document on its way to another process, with its places: one flat list, so that it may be as deep as YAML may be
 * and still fit into a frame's head. Each node is [line, column, kind, text or count, value]; a list or a map is followed by its children. */
#ifndef BW_BASE_YAML_TREE_H
#define BW_BASE_YAML_TREE_H
#include "base/arena.h"
#include "base/json.h"
#include "base/yaml.h"

json_t *bw_yaml_tree(const struct bw_yaml_node *node); /* new reference; NULL without memory */
/* The nodes are the arena's. NULL: it is no such list, or there is no memory. `plain` and `block` are not known any more. */
const struct bw_yaml_node *bw_yaml_tree_read(const json_t *tree, struct bw_arena *arena);
#endif
