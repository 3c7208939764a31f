/* json_view.h: read-only access to JSON text that bw_json_scan() has accepted: no tree, no allocation.
 *
 * A view is the raw text of one value. Looking up a key walks the object's bytes. Borrowed: the text must outlive the view.
 * Views of text that was not validated are not allowed (the walker then may read to the end of the slice, never beyond). */
#ifndef BW_BASE_JSON_VIEW_H
#define BW_BASE_JSON_VIEW_H
#include "base/buf.h"
#include "base/json_scan.h"

struct bw_json_view {
    struct bw_slice raw; /* without surrounding white space */
};
struct bw_json_view bw_json_view_of(struct bw_slice text); /* trims white space */
enum bw_json_type bw_json_view_type(struct bw_json_view view);
/* Duplicate keys: the last one wins, as in jansson. `key` is compared with the unescaped key. */
bool bw_json_view_get(struct bw_json_view object, struct bw_slice key, struct bw_json_view *out);
bool bw_json_view_at(struct bw_json_view array, size_t index, struct bw_json_view *out); /* 0-based */
size_t bw_json_view_count(struct bw_json_view container);                                /* members or items */
struct bw_json_iter {
    const char *next, *end;
};
struct bw_json_iter bw_json_view_iter(struct bw_json_view container);
/* key is the raw key text with quotes (empty for arrays). False at the end. */
bool bw_json_iter_next(struct bw_json_iter *iter, struct bw_slice *raw_key, struct bw_json_view *value);
bool bw_json_view_pointer(struct bw_json_view root, const char *pointer, struct bw_json_view *out); /* RFC 6901 */
/* Numbers: true and *integer set when it is written without fraction and exponent and fits int64; else *real is set (is_integer false). False: no
 * number, or no memory for one of 64 digits and more. */
bool bw_json_view_number(struct bw_json_view view, bool *is_integer, int64_t *integer, double *real);
/* Appends the unescaped text of a raw JSON string (with its quotes). */
void bw_json_unescape_append(struct bw_buf *out, struct bw_slice raw);
/* The string without copying when it holds no escape; else unescaped into `scratch` (cleared first). */
struct bw_slice bw_json_view_string(struct bw_json_view view, struct bw_buf *scratch);
/* Shortest text that reads back as the same double (15, 16 or 17 digits), always with '.', 'e' or as an integer text; finite values only. */
void bw_json_real_append(struct bw_buf *out, double value);
#endif
