/* Where a byte of a scalar's text stands in the file. A YAML scalar is not its raw text: quotes, escapes, indentation and folded lines come between.
 * The node knows where it begins; from there both texts are walked side by side. Columns count characters, as libyaml does. */
#include "base/utf8.h"
#include "workflow/internal.h"

/* One character or line break of the file. */
static void advance(struct bw_place *place, const char *end)
{
    if (place->at < end && *place->at >= ' ' && *place->at <= '~') { /* nearly all there is */
        place->mark.column++;
        place->at++;
        return;
    }
    size_t len = bw_yaml_break(place->at, end);
    if (len) {
        place->mark.line++;
        place->mark.column = 1;
    } else {
        len = bw_utf8_length(place->at, (size_t)(end - place->at));
        place->mark.column++;
    }
    place->at += len ? len : 1;
}

static void skip_spaces(struct bw_place *place, const char *end, int most)
{
    while (most-- > 0 && place->at < end && *place->at == ' ') advance(place, end);
}

/* What a line break is in the text, in bytes: LS and PS stay what they are, all others are a \n. */
static size_t break_width(const char *at, const char *end)
{
    size_t len = bw_yaml_break(at, end);
    return len == 3 ? 3 : len != 0;
}

static bool skip_break(struct bw_place *place, const char *end)
{
    if (place->at >= end || !bw_yaml_break(place->at, end)) return false;
    advance(place, end);
    return true;
}

static const char *behind_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    return at;
}

static const char *behind_spaces(const char *at, const char *end)
{
    while (at < end && *at == ' ') at++;
    return at;
}

/* How deep a block scalar is indented: its first line with content stands further right in the file than in the text. */
static int block_indent(const struct bw_place *place, const char *end)
{
    struct bw_slice text = place->node->text;
    size_t in_text = 0, lines = 0;
    const char *at = place->at, *content = behind_spaces(at, end);
    while (lines < text.len && bw_yaml_break(text.ptr + lines, text.ptr + text.len)) lines += bw_yaml_break(text.ptr + lines, text.ptr + text.len);
    while (lines + in_text < text.len && text.ptr[lines + in_text] == ' ') in_text++;
    while (content < end && bw_yaml_break(content, end)) {
        at = content + bw_yaml_break(content, end);
        content = behind_spaces(at, end);
    }
    size_t in_file = (size_t)(content - at);
    return in_file > in_text ? (int)(in_file - in_text) : 0;
}

static void enter_block(struct bw_place *place, const char *end)
{
    while (place->at < end && !bw_yaml_break(place->at, end)) advance(place, end); /* the header: | or > with its indicators and comment */
    skip_break(place, end);
    place->indent = block_indent(place, end);
    skip_spaces(place, end, place->indent);
}

static void walk_block(struct bw_place *place, const char *end)
{
    struct bw_slice text = place->node->text;
    size_t width = break_width(place->at, end);
    if (!skip_break(place, end)) {
        size_t len = bw_utf8_length(place->at, (size_t)(end - place->at));
        advance(place, end);
        place->offset += len ? len : 1;
        return;
    }
    skip_spaces(place, end, place->indent);
    if (!place->is_folded) {
        place->offset += width;
        return;
    }
    while (skip_break(place, end)) skip_spaces(place, end, place->indent);
    if (place->offset < text.len && text.ptr[place->offset] == ' ')
        place->offset++;
    else
        while (place->offset < text.len && (width = break_width(text.ptr + place->offset, text.ptr + text.len))) place->offset += width;
}

/* At a line break, or at blanks in front of one: they are one space, or as many line breaks as there are empty lines. Only a first LS or PS is not
 * folded. */
static bool walk_fold(struct bw_place *place, const char *end, bool is_escaped)
{
    const char *blanks = behind_blanks(place->at, end);
    size_t first = 0, width = 0; /* that of the first break, and of the others */
    if (blanks >= end || !bw_yaml_break(blanks, end)) return false;
    while ((blanks = behind_blanks(place->at, end)) < end && bw_yaml_break(blanks, end)) {
        while (place->at < blanks) advance(place, end);
        if (first)
            width += break_width(place->at, end);
        else
            first = break_width(place->at, end);
        advance(place, end);
    }
    while (place->at < blanks) advance(place, end);
    place->offset += is_escaped ? width : first > 1 ? first + width : width ? width : 1;
    return true;
}

static void walk_escape(struct bw_place *place, const char *end)
{
    unsigned point = 0;
    char encoded[4], kind;
    advance(place, end);
    if (place->at >= end || (bw_yaml_break(place->at, end) && walk_fold(place, end, true))) return;
    kind = *place->at;
    advance(place, end);
    int digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    for (int i = 0; i < digits && place->at < end; i++) {
        char digit = *place->at;
        point = point << 4 | (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
        advance(place, end);
    }
    place->offset += digits ? bw_utf8_encode(point, encoded) : kind == 'N' || kind == '_' ? 2 : kind == 'L' || kind == 'P' ? 3 : 1;
}

static void walk_flow(struct bw_place *place, const char *end)
{
    if (walk_fold(place, end, false)) return;
    if (place->quote == '"' && *place->at == '\\') {
        walk_escape(place, end);
        return;
    }
    if (place->quote == '\'' && *place->at == '\'') advance(place, end); /* '' is one */
    size_t len = bw_utf8_length(place->at, (size_t)(end - place->at));
    advance(place, end);
    place->offset += len ? len : 1;
}

static void enter(struct bw_place *place, struct bw_slice text, const struct bw_yaml_node *node)
{
    const char *end = text.ptr + text.len;
    if (!place->at || place->mark.line > node->line || (place->mark.line == node->line && place->mark.column > node->column)) {
        size_t bom = text.len >= 3 && !memcmp(text.ptr, "\xef\xbb\xbf", 3) ? 3 : 0;
        *place = (struct bw_place){.at = text.ptr + bom, .mark = {1, 1}};
    }
    place->node = node;
    place->offset = 0;
    while (place->at < end && (place->mark.line < node->line || (place->mark.line == node->line && place->mark.column < node->column)))
        advance(place, end);
    place->quote = !node->plain && !node->block && place->at < end ? *place->at : '\0';
    place->is_folded = node->block && place->at < end && *place->at == '>';
    if (node->block) enter_block(place, end);
    if (place->quote) advance(place, end);
}

/* What adds nothing to the text: an escaped line break. */
static void skip_nothing(struct bw_place *place, const char *end)
{
    while (place->quote == '"' && end - place->at >= 2 && *place->at == '\\' && bw_yaml_break(place->at + 1, end)) {
        struct bw_place ahead = *place;
        walk_escape(&ahead, end);
        if (ahead.offset != place->offset) return;
        *place = ahead;
    }
}

struct bw_mark bw_mark_inside(struct bw_loader *loader, const struct bw_yaml_node *node, size_t offset)
{
    struct bw_place *place = &loader->place;
    const char *end = loader->text.ptr + loader->text.len;
    if (place->node != node || place->offset > offset) enter(place, loader->text, node);
    for (skip_nothing(place, end); place->offset < offset && place->at < end; skip_nothing(place, end)) {
        if (node->block)
            walk_block(place, end);
        else
            walk_flow(place, end);
    }
    return place->mark;
}
