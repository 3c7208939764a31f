#include "ingest/gate.h"
#include <string.h>

#define FAULT(name, code, text) static const struct bw_gate_fault name = {code, text}
FAULT(bare_line_feed, 400, "line feed without carriage return");
FAULT(nul_byte, 400, "NUL byte in the head");
FAULT(line_too_long, 414, "request line too long");
FAULT(head_too_large, 431, "header fields too large");
FAULT(too_many_fields, 431, "too many header fields");
FAULT(bad_request_line, 400, "malformed request line");
FAULT(bad_target, 400, "malformed request target");
FAULT(bad_version, 505, "HTTP version not supported");
FAULT(unknown_method, 405, "method not supported");
FAULT(folded_line, 400, "folded header line");
FAULT(bad_field_name, 400, "malformed header name");
FAULT(look_alike, 400, "header name that others read as Content-Length or Transfer-Encoding");
FAULT(bad_field_value, 400, "control character in a header");
FAULT(bad_host, 400, "missing, duplicate or malformed Host");
FAULT(two_lengths, 400, "duplicate Content-Length");
FAULT(bad_length, 400, "malformed Content-Length");
FAULT(bad_encoding, 400, "Transfer-Encoding other than chunked");
FAULT(length_and_encoding, 400, "both Content-Length and Transfer-Encoding");
FAULT(body_not_allowed, 400, "body not allowed with this method");
FAULT(bad_expectation, 417, "expectation not supported");
FAULT(bad_chunk_size, 400, "malformed chunk size");
FAULT(bad_chunk_end, 400, "chunk without its line end");
FAULT(trailer_field, 400, "trailer fields are not supported");
const struct bw_gate_fault bw_gate_too_large = {413, "body too large"};

void bw_gate_refuse(struct bw_gate *gate, const struct bw_gate_fault *fault)
{
    gate->faulty_in = gate->state;
    gate->state = BW_GATE_FAULTY;
    gate->fault = fault;
}

static void begin(struct bw_gate *gate, enum bw_gate_state state)
{
    if (state == BW_GATE_IDLE) gate->completed++;
    gate->state = state;
    gate->unit = gate->line = 0;
    gate->last = 0;
    gate->digits = 0;
}

/* Only looks for the end of the head and for what must never be in one; its meaning is bw_gate_parse_head()'s. */
static size_t feed_head(struct bw_gate *gate, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        gate->unit++;
        gate->line++;
        if (c == '\n') {
            if (gate->last != '\r') return bw_gate_refuse(gate, &bare_line_feed), i + 1;
            bool is_first = gate->line == gate->unit, is_empty = gate->line == 2;
            gate->line = 0;
            if (is_empty) {
                if (is_first) return bw_gate_refuse(gate, &bad_request_line), i + 1;
                return gate->state = BW_GATE_AT_HEAD_END, i + 1;
            }
        } else if (c == '\0') {
            return bw_gate_refuse(gate, &nul_byte), i + 1;
        } else if (gate->line == gate->unit && gate->line >= BW_GATE_LINE_MAX) {
            return bw_gate_refuse(gate, &line_too_long), i + 1;
        }
        if (gate->unit >= BW_GATE_HEAD_MAX) return bw_gate_refuse(gate, &head_too_large), i + 1;
        gate->last = c;
    }
    return len;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void end_chunk_size(struct bw_gate *gate)
{
    if (gate->body + gate->left > gate->limit) { /* no overflow: a chunk has at most 8 digits */
        bw_gate_refuse(gate, &bw_gate_too_large);
        return;
    }
    uint64_t left = gate->left;
    gate->body += left;
    begin(gate, left ? BW_GATE_CHUNK_DATA : BW_GATE_LAST_CHUNK);
}

/* chunk-size CRLF. A chunk extension is legal, unused by any sender we know, and read in different ways. */
static void feed_chunk_size(struct bw_gate *gate, char c)
{
    int digit = hex_value(c);
    gate->unit++;
    if (gate->last == '\r') {
        if (c != '\n')
            bw_gate_refuse(gate, &bad_chunk_size);
        else
            end_chunk_size(gate);
    } else if (c == '\r' && gate->digits > 0) {
        gate->last = c;
    } else if (digit >= 0 && gate->digits < 8) {
        gate->left = gate->digits++ ? gate->left * 16 + (unsigned)digit : (unsigned)digit;
    } else {
        bw_gate_refuse(gate, &bad_chunk_size);
    }
}

/* An empty line, then `next`. */
static void feed_line_end(struct bw_gate *gate, char c, enum bw_gate_state next, const struct bw_gate_fault *fault)
{
    gate->unit++;
    if (gate->last == '\r' && c == '\n')
        begin(gate, next);
    else if (gate->last == 0 && c == '\r')
        gate->last = c;
    else
        bw_gate_refuse(gate, fault);
}

static size_t skip(struct bw_gate *gate, size_t len, enum bw_gate_state next)
{
    size_t take = len < gate->left ? len : (size_t)gate->left;
    gate->left -= take;
    gate->arrived += take;
    if (!gate->left) begin(gate, next);
    return take;
}

size_t bw_gate_feed(struct bw_gate *gate, const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        switch (gate->state) {
        case BW_GATE_IDLE: begin(gate, BW_GATE_IN_HEAD); break;
        case BW_GATE_IN_HEAD: at += feed_head(gate, bytes + at, len - at); break;
        case BW_GATE_IN_BODY: at += skip(gate, len - at, BW_GATE_IDLE); break;
        case BW_GATE_CHUNK_DATA: at += skip(gate, len - at, BW_GATE_CHUNK_END); break;
        case BW_GATE_CHUNK_SIZE: feed_chunk_size(gate, bytes[at++]); break;
        case BW_GATE_CHUNK_END: feed_line_end(gate, bytes[at++], BW_GATE_CHUNK_SIZE, &bad_chunk_end); break;
        case BW_GATE_LAST_CHUNK: feed_line_end(gate, bytes[at++], BW_GATE_IDLE, &trailer_field); break;
        case BW_GATE_AT_HEAD_END:
        case BW_GATE_FAULTY: return at;
        }
    }
    return at;
}

void bw_gate_body(struct bw_gate *gate, const struct bw_gate_head *head, uint64_t limit)
{
    gate->limit = limit;
    gate->body = head->is_chunked ? 0 : head->content_length;
    gate->left = gate->body;
    gate->arrived = 0;
    if (gate->body > limit)
        bw_gate_refuse(gate, &bw_gate_too_large);
    else if (head->is_chunked)
        begin(gate, BW_GATE_CHUNK_SIZE);
    else
        begin(gate, gate->left ? BW_GATE_IN_BODY : BW_GATE_IDLE);
}

/* ---- the head's meaning ---- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_token(struct bw_slice text) /* RFC 9110 5.6.2 */
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_alnum(c) && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return text.len > 0;
}

static bool take_line(struct bw_slice *rest, struct bw_slice *line)
{
    const char *end = memchr(rest->ptr, '\n', rest->len); /* each has a '\r' before it: feed_head() saw to that */
    if (!end || end == rest->ptr) return false;
    *line = (struct bw_slice){rest->ptr, (size_t)(end - rest->ptr) - 1};
    rest->len -= line->len + 2;
    rest->ptr = end + 1;
    return true;
}

static bool is_known_method(struct bw_slice method)
{
    static const char *const known[] = {"POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bw_slice_is(method, known[i])) return true;
    return false;
}

static const struct bw_gate_fault *parse_request_line(struct bw_slice line, struct bw_gate_head *out)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    if (!space) return &bad_request_line;
    out->method = (struct bw_slice){line.ptr, (size_t)(space - line.ptr)};
    struct bw_slice rest = {space + 1, line.len - out->method.len - 1};
    if (!is_token(out->method) || !(space = memchr(rest.ptr, ' ', rest.len))) return &bad_request_line;
    out->target = (struct bw_slice){rest.ptr, (size_t)(space - rest.ptr)};
    struct bw_slice version = {space + 1, rest.len - out->target.len - 1};
    for (size_t i = 0; i < out->target.len; i++)
        if (out->target.ptr[i] <= 0x20 || out->target.ptr[i] == 0x7f || out->target.ptr[i] == '#') /* char is signed: bytes above 0x7f too */
            return &bad_target;                                                                    /* a fragment is never sent; some cut it off */
    /* Origin form only: nobody's proxy are we. "//" begins an authority for some. */
    bool is_path = out->target.len && out->target.ptr[0] == '/' && (out->target.len == 1 || out->target.ptr[1] != '/');
    if (!is_path && !bw_slice_is(out->target, "*")) return &bad_target;
    out->is_http10 = bw_slice_is(version, "HTTP/1.0");
    if (!out->is_http10 && !bw_slice_is(version, "HTTP/1.1")) return memchr(version.ptr, ' ', version.len) ? &bad_request_line : &bad_version;
    return is_known_method(out->method) ? NULL : &unknown_method;
}

static bool parse_length(struct bw_slice text, uint64_t *out)
{
    *out = 0;
    if (text.len < 1 || text.len > 18) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        *out = *out * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return true;
}

/* uri-host [":" port] of RFC 9110 7.2, but for the comma: some take it for the end of the first of several. */
static bool is_host(struct bw_slice text)
{
    static const char in_name[] = "-._~!$&'()*+;=%", in_brackets[] = "-._~%:";
    bool is_address = text.len && text.ptr[0] == '[';
    size_t i = is_address;
    for (; i < text.len && text.ptr[i]; i++)
        if (!is_alnum(text.ptr[i]) && !strchr(is_address ? in_brackets : in_name, text.ptr[i])) break;
    if (is_address && (i == 1 || i == text.len || text.ptr[i++] != ']')) return false;
    if (i == text.len) return true;
    if (text.ptr[i] != ':') return false;
    while (++i < text.len)
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    return true;
}

/* Content_Length, Transfer---Encoding: to us headers like any other, but whoever makes variables of an environment of them, or tidies names up,
 * takes them for the real ones. Nobody honest sends them. */
static bool is_like(struct bw_slice name, const char *letters)
{
    for (size_t i = 0; i < name.len; i++) {
        char letter = name.ptr[i] | 0x20;
        if (letter < 'a' || letter > 'z') continue;
        if (letter != *letters) return false;
        letters++;
    }
    return !*letters;
}

/* `close` may be one of several options, and in a second field. */
static void read_connection(struct bw_slice value, struct bw_gate_head *out)
{
    while (value.len) {
        const char *comma = memchr(value.ptr, ',', value.len);
        struct bw_slice option = {value.ptr, comma ? (size_t)(comma - value.ptr) : value.len};
        size_t taken = option.len + (comma != NULL);
        value = (struct bw_slice){value.ptr + taken, value.len - taken};
        option = bw_slice_trimmed(option);
        out->asks_to_close = out->asks_to_close || bw_slice_is_nocase(option, "close");
        out->asks_to_keep = out->asks_to_keep || bw_slice_is_nocase(option, "keep-alive");
    }
}

struct seen {
    unsigned fields, hosts, lengths, encodings;
};

static const struct bw_gate_fault *parse_field(struct bw_slice line, struct bw_gate_head *out, struct seen *seen)
{
    if (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) return &folded_line;
    const char *colon = memchr(line.ptr, ':', line.len);
    struct bw_slice name = {line.ptr, colon ? (size_t)(colon - line.ptr) : 0};
    if (!is_token(name)) return &bad_field_name;
    struct bw_slice value = bw_slice_trimmed((struct bw_slice){colon + 1, line.len - name.len - 1});
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f) return &bad_field_value;
    if (++seen->fields > BW_GATE_FIELDS_MAX) return &too_many_fields;
    if (bw_slice_is_nocase(name, "Host")) return seen->hosts++ || !is_host(value) ? &bad_host : NULL;
    if (bw_slice_is_nocase(name, "Content-Length")) {
        if (seen->lengths++) return &two_lengths;
        return parse_length(value, &out->content_length) ? NULL : &bad_length;
    }
    if (bw_slice_is_nocase(name, "Transfer-Encoding")) {
        out->is_chunked = true;
        return seen->encodings++ || out->is_http10 || !bw_slice_is_nocase(value, "chunked") ? &bad_encoding : NULL;
    }
    if (bw_slice_is_nocase(name, "Expect") && !out->is_http10) {
        out->expects_continue = true;
        return bw_slice_is_nocase(value, "100-continue") ? NULL : &bad_expectation;
    }
    if (bw_slice_is_nocase(name, "Connection")) read_connection(value, out);
    return is_like(name, "contentlength") || is_like(name, "transferencoding") ? &look_alike : NULL;
}

const struct bw_gate_fault *bw_gate_parse_head(struct bw_slice head, struct bw_gate_head *out)
{
    struct bw_slice line;
    struct seen seen = {0};
    *out = (struct bw_gate_head){0};
    if (!take_line(&head, &line)) return &bad_request_line;
    const struct bw_gate_fault *fault = parse_request_line(line, out);
    while (!fault && take_line(&head, &line) && line.len) fault = parse_field(line, out, &seen);
    if (fault) return fault;
    if (seen.lengths && seen.encodings) return &length_and_encoding;
    if (!seen.hosts && !out->is_http10) return &bad_host;
    bool has_body = seen.encodings || out->content_length > 0;
    if (has_body && (bw_slice_is(out->method, "GET") || bw_slice_is(out->method, "HEAD"))) return &body_not_allowed;
    return NULL;
}
