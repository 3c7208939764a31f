/* multipart.h: multipart/form-data (RFC 7578), part by part. Strict, since the bytes are anybody's: the body begins with its boundary and ends with
 * the closing one, each part has one Content-Disposition of form-data with a name, and nothing is encoded on top of it. Pure, no allocation, linear
 * in the body; slices point into it. */
#ifndef BW_SOURCE_MULTIPART_H
#define BW_SOURCE_MULTIPART_H
#include "base/buf.h"

#define BW_MULTIPART_PARTS_MAX 1024
#define BW_MULTIPART_HEAD_MAX 4096 /* bytes of the headers of a part */

struct bw_multipart { /* fields are multipart.c's */
    struct bw_slice rest;
    char delimiter[80]; /* CR LF -- and the boundary */
    size_t delimiter_len, parts;
};
struct bw_part_field {
    struct bw_slice name, filename; /* as they stand between quotes: bw_multipart_unquote_append() */
    struct bw_slice type;           /* content type; empty: none */
    struct bw_slice data;
    bool is_file; /* it has a file name, be it an empty one */
};
/* content_type: the whole header. False: it has no boundary, or the body does not begin with it. */
bool bw_multipart_begin(struct bw_multipart *multipart, struct bw_slice content_type, struct bw_slice body);
enum bw_multipart_end { BW_MULTIPART_PART, BW_MULTIPART_OVER, BW_MULTIPART_BROKEN };
enum bw_multipart_end bw_multipart_next(struct bw_multipart *multipart, struct bw_part_field *out);
void bw_multipart_unquote_append(struct bw_buf *out, struct bw_slice quoted); /* \" and \\ are what browsers and curl write */
#endif
