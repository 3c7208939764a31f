#include "base/yaml_tree.h"

#define DEPTH_MAX 64 /* of the loader */

static bool add(json_t *tree, const struct bw_yaml_node *node)
{
    json_t *entry = json_pack("[i,i,i]", node->line, node->column, node->kind);
    bool good = entry != NULL;
    if (node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP)
        good = good && !json_array_append_new(entry, json_integer((json_int_t)node->count));
    else
        good = good && !json_array_append_new(entry, json_stringn(node->text.len ? node->text.ptr : "", node->text.len));
    if (node->kind == BW_YAML_BOOL) good = good && !json_array_append_new(entry, json_boolean(node->boolean));
    if (node->kind == BW_YAML_INT) good = good && !json_array_append_new(entry, json_integer(node->integer));
    if (node->kind == BW_YAML_REAL) good = good && !json_array_append_new(entry, json_real(node->real));
    if (json_array_append_new(tree, entry)) return false;
    for (size_t i = 0; good && node->kind == BW_YAML_LIST && i < node->count; i++) good = add(tree, node->items[i]);
    for (size_t i = 0; good && node->kind == BW_YAML_MAP && i < node->count; i++)
        good = add(tree, node->pairs[i].key) && add(tree, node->pairs[i].value);
    return good;
}

json_t *bw_yaml_tree(const struct bw_yaml_node *node)
{
    json_t *tree = json_array();
    if (tree && add(tree, node)) return tree;
    json_decref(tree);
    return NULL;
}

struct reader {
    const json_t *tree;
    size_t next;
    struct bw_arena *arena;
};

static struct bw_yaml_node *read_node(struct reader *reader, int depth)
{
    const json_t *entry = json_array_get(reader->tree, reader->next++), *value = json_array_get(entry, 4);
    struct bw_yaml_node *node = bw_arena_alloc(reader->arena, sizeof *node);
    int64_t kind = json_integer_value(json_array_get(entry, 2)), count = json_integer_value(json_array_get(entry, 3));
    if (json_array_size(entry) < 4 || !node || depth > DEPTH_MAX || kind < BW_YAML_NULL || kind > BW_YAML_MAP) return NULL;
    node->kind = (enum bw_yaml_kind)kind;
    node->line = (int)json_integer_value(json_array_get(entry, 0));
    node->column = (int)json_integer_value(json_array_get(entry, 1));
    node->boolean = false;
    if (node->kind == BW_YAML_BOOL) node->boolean = json_is_true(value);
    if (node->kind == BW_YAML_INT) node->integer = json_integer_value(value);
    if (node->kind == BW_YAML_REAL) node->real = json_number_value(value);
    if (node->kind != BW_YAML_LIST && node->kind != BW_YAML_MAP) {
        node->text = bw_arena_copy(reader->arena, bw_json_slice(json_array_get(entry, 3)));
        return node->text.ptr ? node : NULL;
    }
    bool is_map = node->kind == BW_YAML_MAP;
    /* Each child has an entry: a greater count is none of ours. */
    if (count < 0 || (uint64_t)count > json_array_size(reader->tree)) return NULL;
    if (is_map)
        node->pairs = bw_arena_alloc(reader->arena, ((size_t)count + 1) * sizeof *node->pairs);
    else
        node->items = bw_arena_alloc(reader->arena, ((size_t)count + 1) * sizeof *node->items);
    if (is_map ? !node->pairs : !node->items) return NULL;
    for (; node->count < (size_t)count; node->count++) {
        if (is_map && (!(node->pairs[node->count].key = read_node(reader, depth + 1)) || node->pairs[node->count].key->kind != BW_YAML_STRING))
            return NULL;
        struct bw_yaml_node *child = read_node(reader, depth + 1);
        if (!child) return NULL;
        if (is_map)
            node->pairs[node->count].value = child;
        else
            node->items[node->count] = child;
    }
    return node;
}

const struct bw_yaml_node *bw_yaml_tree_read(const json_t *tree, struct bw_arena *arena)
{
    struct reader reader = {.tree = tree, .arena = arena};
    const struct bw_yaml_node *node = read_node(&reader, 0);
    return node && !arena->failed && reader.next == json_array_size(tree) ? node : NULL;
}
