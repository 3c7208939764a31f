/* Values with holes: constant subtrees are folded to JSON once, at load. */
#include "workflow/internal.h"

static struct bw_template *constant(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_template *template_ = bw_arena_alloc(loader->arena, sizeof *template_);
    struct bw_buf json = {0};
    if (!template_) return NULL;
    bw_yaml_to_json(node, &json);
    template_->kind = BW_TEMPLATE_CONST;
    template_->mark = bw_mark_of(node);
    template_->json = bw_arena_copy(loader->arena, bw_buf_slice(&json));
    if (json.failed) loader->arena->failed = true;
    bw_buf_free(&json);
    return template_;
}

static const char *find_open(const char *at, const char *end)
{
    for (; end - at >= 3; at++)
        if (!memcmp(at, "${{", 3)) return at;
    return NULL;
}

static void add_text(struct bw_loader *loader, struct bw_template *template_, const char *from, const char *to)
{
    if (to > from)
        template_->pieces[template_->count++] =
            (struct bw_text_piece){.text = bw_arena_copy(loader->arena, (struct bw_slice){from, (size_t)(to - from)})};
}

/* A hole that is wrong is reported and left out: the rest of the text is still looked at. */
static struct bw_template *from_text(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    const char *at = node->text.ptr, *end = at + node->text.len, *open;
    size_t holes = 0;
    for (const char *scan = at; (scan = find_open(scan, end)); scan += 3) holes++;
    if (!holes) return constant(loader, node);
    struct bw_template *template_ = bw_arena_alloc(loader->arena, sizeof *template_);
    if (!template_ || !(template_->pieces = bw_arena_alloc(loader->arena, (2 * holes + 1) * sizeof *template_->pieces))) return NULL;
    template_->kind = BW_TEMPLATE_TEXT;
    template_->mark = bw_mark_of(node);
    while ((open = find_open(at, end))) {
        const char *close = bw_expr_end(open + 3, end);
        if (!close) {
            bw_expr_unclosed(loader, node, open);
            return template_;
        }
        add_text(loader, template_, at, open);
        int32_t expr = bw_expr_add(loader, node, (struct bw_slice){open + 3, (size_t)(close - 2 - (open + 3))}, false);
        if (expr >= 0) template_->pieces[template_->count++] = (struct bw_text_piece){.is_expr = true, .expr = (uint32_t)expr};
        at = close;
    }
    add_text(loader, template_, at, end);
    if (template_->count == 1 && template_->pieces[0].is_expr) { /* exactly one hole: the value keeps its type */
        template_->kind = BW_TEMPLATE_EXPR;
        template_->expr = template_->pieces[0].expr;
    }
    return template_;
}

struct bw_template *bw_template_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    bool is_map = node->kind == BW_YAML_MAP, is_constant = true;
    if (node->kind == BW_YAML_STRING) return from_text(loader, node);
    if (!is_map && node->kind != BW_YAML_LIST) return constant(loader, node);
    struct bw_template *template_ = bw_arena_alloc(loader->arena, sizeof *template_);
    if (!template_) return NULL;
    template_->kind = is_map ? BW_TEMPLATE_MAP : BW_TEMPLATE_LIST;
    template_->mark = bw_mark_of(node);
    template_->count = node->count;
    template_->items = bw_arena_alloc(loader->arena, (node->count + 1) * sizeof *template_->items);
    template_->keys = bw_arena_alloc(loader->arena, (node->count + 1) * sizeof *template_->keys);
    if (!template_->items || !template_->keys) return NULL;
    for (size_t i = 0; i < node->count; i++) {
        if (is_map) {
            bw_refuse_hole(loader, node->pairs[i].key, "a key");
            template_->keys[i] = bw_arena_copy(loader->arena, node->pairs[i].key->text);
        }
        if (!(template_->items[i] = bw_template_load(loader, is_map ? node->pairs[i].value : node->items[i]))) return NULL;
        is_constant = is_constant && template_->items[i]->kind == BW_TEMPLATE_CONST;
    }
    return is_constant ? constant(loader, node) : template_;
}
