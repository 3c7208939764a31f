#include "base/yaml.h"
#include "base/map.h"
#include "base/yaml_parts.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define CHUNK_BYTES 16384

struct chunk { /* nodes and texts live in chunks and die together */
    struct chunk *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};
struct bw_yaml {
    char *file;
    struct bw_yaml_node **roots;
    size_t count, capacity;
    struct chunk *chunks;
};

/* An open list or map while its children arrive. */
struct frame {
    struct bw_yaml_node *node;
    struct bw_yaml_node *key;   /* of a map: the key that waits for its value */
    struct bw_yaml_pair *pairs; /* keys are NULL in a list */
    size_t count, capacity;
    struct bw_map *seen; /* of a map: key text → key node */
};
struct load {
    struct bw_yaml *yaml;
    struct bw_yaml_limits limits;
    struct frame *frames;
    size_t depth, frame_capacity, nodes;
    struct bw_yaml_place end; /* of the text */
    struct bw_error *err;
};

static void *allocate(struct bw_yaml *yaml, size_t size)
{
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct chunk *chunk = yaml->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + room);
        if (!chunk) return NULL;
        *chunk = (struct chunk){.next = yaml->chunks, .size = room};
        yaml->chunks = chunk;
    }
    void *at = chunk->bytes + chunk->used;
    chunk->used += size;
    return at;
}

static bool no_memory(struct load *load)
{
    return bw_error_set(load->err, "no_memory", "out of memory while reading YAML");
}

/* Doubles an array of any element type; false leaves it as it was. */
static bool grow(void **array, size_t *capacity, size_t element)
{
    size_t wanted = *capacity ? *capacity * 2 : 8;
    void *larger = realloc(*array, wanted * element);
    if (!larger) return false;
    *array = larger;
    *capacity = wanted;
    return true;
}

/* libyaml ends a text without a line break at its end with one of its own: what is there is on no line of the file. */
static struct bw_yaml_place place_of(const struct load *load, yaml_mark_t mark)
{
    struct bw_yaml_place place = {(int)mark.line + 1, (int)mark.column + 1};
    return place.line > load->end.line ? load->end : place;
}

static __attribute__((format(printf, 4, 5))) bool refuse(struct load *load, yaml_mark_t mark, const char *code, const char *format, ...)
{
    const struct bw_yaml_place place = place_of(load, mark);
    va_list args;
    char message[256];
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    bw_error_set(load->err, code, "%s", message);
    bw_error_at(load->err, NULL, place.line, place.column);
    return false;
}

static struct bw_yaml_node *new_node(struct load *load, enum bw_yaml_kind kind, yaml_mark_t mark)
{
    if (load->nodes++ == load->limits.nodes) {
        refuse(load, mark, "yaml.too_many_nodes", "more than %zu values and keys", load->limits.nodes);
        return NULL;
    }
    struct bw_yaml_node *node = allocate(load->yaml, sizeof *node);
    if (!node) {
        no_memory(load);
        return NULL;
    }
    const struct bw_yaml_place place = place_of(load, mark);
    *node = (struct bw_yaml_node){.kind = kind, .line = place.line, .column = place.column, .text = {"", 0}};
    return node;
}

static struct frame *top(struct load *load)
{
    return load->depth ? &load->frames[load->depth - 1] : NULL;
}

static bool expects_key(struct load *load)
{
    const struct frame *frame = top(load);
    return frame && frame->node->kind == BW_YAML_MAP && !frame->key;
}

static bool take_key(struct load *load, struct bw_yaml_node *key, yaml_mark_t mark)
{
    struct frame *frame = top(load);
    if (key->plain && bw_slice_is(key->text, "<<")) {
        refuse(load, mark, "yaml.merge", "merge keys (<<) are not supported");
        bw_error_hint(load->err, "write the keys out");
        return false;
    }
    const struct bw_yaml_node *first = bw_map_get(frame->seen, key->text);
    if (first) {
        int shown = key->text.len > 64 ? 64 : (int)key->text.len;
        refuse(load, mark, "yaml.duplicate_key", "the key '%.*s' on line %d is already on line %d", shown, key->text.ptr, key->line, first->line);
        bw_error_hint(load->err, "remove or rename one of them");
        return false;
    }
    frame->key = key;
    return bw_map_set(frame->seen, key->text, key) || no_memory(load);
}

/* Hands a finished scalar or a list or map that just opened to what encloses it. */
static bool attach(struct load *load, struct bw_yaml_node *node)
{
    struct frame *frame = top(load);
    struct bw_yaml *yaml = load->yaml;
    if (!frame) {
        if (yaml->count == yaml->capacity && !grow((void **)&yaml->roots, &yaml->capacity, sizeof *yaml->roots)) return no_memory(load);
        yaml->roots[yaml->count++] = node;
        return true;
    }
    if (frame->count == frame->capacity && !grow((void **)&frame->pairs, &frame->capacity, sizeof *frame->pairs)) return no_memory(load);
    frame->pairs[frame->count++] = (struct bw_yaml_pair){frame->key, node};
    frame->key = NULL;
    return true;
}

static bool refuse_extras(struct load *load, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor) {
        refuse(load, event->start_mark, "yaml.anchor", "anchors (&%.64s) are not supported", (const char *)anchor);
        bw_error_hint(load->err, "write the value out, or quote a text that begins with &");
    } else if (tag) {
        refuse(load, event->start_mark, "yaml.tag", "tags (%.64s) are not supported", (const char *)tag);
        bw_error_hint(load->err, "remove the tag, or quote a text that begins with !");
    }
    return !anchor && !tag;
}

static bool on_scalar(struct load *load, const yaml_event_t *event)
{
    if (!refuse_extras(load, event, event->data.scalar.anchor, event->data.scalar.tag)) return false;
    struct bw_yaml_node *node = new_node(load, BW_YAML_STRING, event->start_mark);
    if (!node) return false;
    size_t len = event->data.scalar.length;
    char *text = allocate(load->yaml, len + 1);
    if (!text) return no_memory(load);
    memcpy(text, event->data.scalar.value, len);
    text[len] = '\0';
    node->text = (struct bw_slice){text, len};
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->block = event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
    if (expects_key(load)) return take_key(load, node, event->start_mark);
    if (node->plain && !bw_yaml_resolve_plain(node, load->err)) {
        bw_error_at(load->err, NULL, node->line, node->column);
        return false;
    }
    return attach(load, node);
}

static bool open_collection(struct load *load, const yaml_event_t *event, enum bw_yaml_kind kind)
{
    if (expects_key(load)) {
        refuse(load, event->start_mark, "yaml.key", "a key must be a text, found %s", bw_yaml_kind_name(kind));
        bw_error_hint(load->err, "quote a text that begins with { or [; an expression is written \"${{ … }}\"");
        return false;
    }
    if (load->depth == load->limits.depth)
        return refuse(load, event->start_mark, "yaml.too_deep", "more than %zu lists and maps inside each other", load->depth);
    struct bw_yaml_node *node = new_node(load, kind, event->start_mark);
    if (!node || !attach(load, node)) return false;
    if (load->depth == load->frame_capacity && !grow((void **)&load->frames, &load->frame_capacity, sizeof *load->frames)) return no_memory(load);
    struct frame *frame = &load->frames[load->depth++];
    *frame = (struct frame){.node = node};
    if (kind == BW_YAML_MAP) frame->seen = bw_map_new();
    return kind != BW_YAML_MAP || frame->seen || no_memory(load);
}

static void drop_frame(struct load *load)
{
    struct frame *frame = &load->frames[--load->depth];
    bw_map_free(frame->seen, NULL);
    free(frame->pairs);
}

static bool close_collection(struct load *load)
{
    struct frame *frame = top(load);
    struct bw_yaml_node *node = frame->node;
    size_t element = node->kind == BW_YAML_MAP ? sizeof *node->pairs : sizeof *node->items;
    void *children = allocate(load->yaml, frame->count * element);
    if (!children) return no_memory(load);
    node->count = frame->count;
    if (node->kind == BW_YAML_MAP) {
        node->pairs = children;
        if (frame->count) memcpy(children, frame->pairs, frame->count * element);
    } else {
        node->items = children;
        for (size_t i = 0; i < frame->count; i++) node->items[i] = frame->pairs[i].value;
    }
    drop_frame(load);
    return true;
}

static bool on_event(struct load *load, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return on_scalar(load, event);
    case YAML_SEQUENCE_START_EVENT:
        return refuse_extras(load, event, event->data.sequence_start.anchor, event->data.sequence_start.tag) &&
               open_collection(load, event, BW_YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        return refuse_extras(load, event, event->data.mapping_start.anchor, event->data.mapping_start.tag) &&
               open_collection(load, event, BW_YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_collection(load);
    case YAML_ALIAS_EVENT:
        refuse(load, event->start_mark, "yaml.alias", "aliases (*%.64s) are not supported", (const char *)event->data.alias.anchor);
        bw_error_hint(load->err, "write the value out, or quote a text that begins with *");
        return false;
    case YAML_DOCUMENT_START_EVENT:
        if (event->data.document_start.tag_directives.start == event->data.document_start.tag_directives.end) return true;
        refuse(load, event->start_mark, "yaml.tag", "%%TAG directives are not supported");
        bw_error_hint(load->err, "remove the directive");
        return false;
    default: return true;
    }
}

static bool refuse_syntax(struct load *load, const yaml_parser_t *parser, struct bw_slice text)
{
    if (parser->error == YAML_MEMORY_ERROR) return no_memory(load);
    const char *problem = parser->problem ? parser->problem : "is not YAML";
    if (parser->context && parser->context_mark.line != parser->problem_mark.line)
        refuse(load, parser->problem_mark, "yaml.syntax", "%s, %s that began on line %zu", problem, parser->context, parser->context_mark.line + 1);
    else if (parser->context)
        refuse(load, parser->problem_mark, "yaml.syntax", "%s, %s", problem, parser->context);
    else
        refuse(load, parser->problem_mark, "yaml.syntax", "%s", problem);
    if (load->err) bw_yaml_hint_syntax(text, load->err);
    return false;
}

/* libyaml is quadratic in flow depth, but it hands out each '[' after reading at most 1,024 characters ahead (the longest possible
 * simple key), so stopping at the depth limit bounds its work too. */
static bool parse(struct load *load, struct bw_slice text)
{
    yaml_parser_t parser;
    bool good = true, more = true;
    if (!yaml_parser_initialize(&parser)) return no_memory(load);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (good && more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            good = refuse_syntax(load, &parser, text);
            break;
        }
        good = on_event(load, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (good && load->yaml->count == 0) { /* nothing but comments */
        struct bw_yaml_node *root = new_node(load, BW_YAML_NULL, (yaml_mark_t){0});
        good = root && attach(load, root);
    }
    return good;
}

struct bw_yaml *bw_yaml_load(struct bw_slice text, const char *file, const struct bw_yaml_limits *limits, struct bw_error *err)
{
    struct load load = {.limits = limits ? *limits : (struct bw_yaml_limits){0}, .err = err, .yaml = calloc(1, sizeof *load.yaml)};
    bool good = false;
    if (!load.limits.bytes) load.limits.bytes = 256 * 1024;
    if (!load.limits.depth) load.limits.depth = 64;
    if (!load.limits.nodes) load.limits.nodes = 10000;
    if (!load.yaml || !(load.yaml->file = bw_slice_dup(bw_slice_of(file)))) {
        no_memory(&load);
        goto out;
    }
    if (text.len > load.limits.bytes) {
        bw_error_set(err, "yaml.too_large", "%zu bytes of YAML; at most %zu are read", text.len, load.limits.bytes);
        bw_error_at(err, file, 1, 1);
        goto out;
    }
    if (!text.ptr) text.ptr = "";                                    /* libyaml asserts that there is an address */
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0) { /* a byte-order mark is not text */
        text.ptr += 3;
        text.len -= 3;
    }
    good = bw_yaml_check_bytes(text, &load.end, err) && parse(&load, text);
out:
    while (load.depth) drop_frame(&load);
    free(load.frames);
    if (good) return load.yaml;
    bw_error_at(err, file, 0, 0);
    bw_yaml_free(load.yaml);
    return NULL;
}

void bw_yaml_free(struct bw_yaml *yaml)
{
    if (!yaml) return;
    for (struct chunk *chunk = yaml->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(yaml->roots);
    free(yaml->file);
    free(yaml);
}

const char *bw_yaml_file(const struct bw_yaml *yaml)
{
    return yaml->file;
}

size_t bw_yaml_count(const struct bw_yaml *yaml)
{
    return yaml->count;
}

const struct bw_yaml_node *bw_yaml_root(const struct bw_yaml *yaml, size_t document)
{
    return document < yaml->count ? yaml->roots[document] : NULL;
}

const struct bw_yaml_node *bw_yaml_get(const struct bw_yaml_node *map, const char *key)
{
    if (!map || map->kind != BW_YAML_MAP) return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (bw_slice_is(map->pairs[i].key->text, key)) return map->pairs[i].value;
    return NULL;
}

const char *bw_yaml_kind_name(enum bw_yaml_kind kind)
{
    static const char *const names[] = {"nothing", "true or false", "an integer", "a number", "a string", "a list", "a map"};
    return names[kind];
}
