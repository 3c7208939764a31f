/* Values of a request by reference. */
#include "base/codec.h"
#include "base/json_view.h"
#include "source/program.h"

const struct bw_header *bw_request_header(const struct bw_request *request, const char *name, size_t *occurrences)
{
    const struct bw_header *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (bw_slice_is_nocase(request->headers[i].name, name)) {
            if (!found) found = &request->headers[i];
            count++;
        }
    if (occurrences) *occurrences = count;
    return found;
}

bool bw_request_is_json(const struct bw_request *request)
{
    const struct bw_header *header = bw_request_header(request, "content-type", NULL);
    if (!header) return false;
    struct bw_slice type = header->value;
    const char *semicolon = memchr(type.ptr, ';', type.len);
    if (semicolon) type.len = (size_t)(semicolon - type.ptr);
    while (type.len && (type.ptr[type.len - 1] == ' ' || type.ptr[type.len - 1] == '\t')) type.len--;
    while (type.len && (*type.ptr == ' ' || *type.ptr == '\t')) type.ptr++, type.len--;
    if (bw_slice_is_nocase(type, "application/json") || bw_slice_is_nocase(type, "text/json")) return true;
    return type.len > 5 && memchr(type.ptr, '/', type.len) && bw_slice_is_nocase((struct bw_slice){type.ptr + type.len - 5, 5}, "+json");
}

static struct bw_slice trim(struct bw_slice text)
{
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

/* The text is split by the separator, then at the FIRST equals sign into key and value. */
static bool next_entry(struct bw_slice *rest, const struct bw_list_spec *list, struct bw_slice *key, struct bw_slice *value)
{
    while (rest->len) {
        const char *end = list->separator.len ? memmem(rest->ptr, rest->len, list->separator.ptr, list->separator.len) : NULL;
        struct bw_slice entry = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
        size_t taken = entry.len + (end ? list->separator.len : 0);
        *rest = (struct bw_slice){rest->ptr + taken, rest->len - taken};
        entry = trim(entry);
        const char *equals = list->equals.len ? memmem(entry.ptr, entry.len, list->equals.ptr, list->equals.len) : NULL;
        if (!equals) continue;
        *key = trim((struct bw_slice){entry.ptr, (size_t)(equals - entry.ptr)});
        *value = trim((struct bw_slice){equals + list->equals.len, entry.len - (size_t)(equals - entry.ptr) - list->equals.len});
        return true;
    }
    return false;
}

size_t bw_ref_candidates(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t capacity)
{
    struct bw_slice text, key, value;
    size_t count = 0;
    if (ref->kind != BW_REF_LIST) return bw_ref_read(trial, ref, out, NULL);
    const struct bw_list_spec *list = &trial->program->lists[ref->index];
    if (!bw_ref_read(trial, &list->from, &text, NULL)) return 0;
    while (count < capacity && next_entry(&text, list, &key, &value))
        if (bw_slice_equal(key, ref->name)) out[count++] = value;
    return count;
}

static bool read_query(const struct bw_trial *trial, struct bw_slice name, struct bw_slice *out)
{
    struct bw_slice rest = trial->request->query;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        struct bw_slice pair = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
        rest = end ? (struct bw_slice){end + 1, rest.len - pair.len - 1} : (struct bw_slice){"", 0};
        const char *equals = memchr(pair.ptr, '=', pair.len);
        if (!equals || !bw_slice_equal((struct bw_slice){pair.ptr, (size_t)(equals - pair.ptr)}, name)) continue;
        size_t before = trial->scratch->len;
        if (before + pair.len >= trial->scratch->capacity) return false;
        if (!bw_form_decode_append(trial->scratch, (struct bw_slice){equals + 1, pair.len - (size_t)(equals - pair.ptr) - 1})) return false;
        *out = (struct bw_slice){trial->scratch->data ? trial->scratch->data + before : "", trial->scratch->len - before};
        return true;
    }
    return false;
}

static bool read_json(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out)
{
    const struct bw_json_hit *hit = &trial->hits[ref->index];
    if (!trial->has_json) return false;
    if (hit->type == BW_JSON_NUMBER) {
        *out = hit->raw;
        return true;
    }
    if (hit->type != BW_JSON_STRING || ref->is_number) return false;
    if (!memchr(hit->raw.ptr, '\\', hit->raw.len)) {
        *out = (struct bw_slice){hit->raw.ptr + 1, hit->raw.len - 2};
        return true;
    }
    size_t before = trial->scratch->len;
    if (before + hit->raw.len >= trial->scratch->capacity) return false; /* growing would move what earlier slices point to */
    bw_json_unescape_append(trial->scratch, hit->raw);
    *out = (struct bw_slice){trial->scratch->data + before, trial->scratch->len - before};
    return !trial->scratch->failed;
}

static bool read_one(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t *occurrences)
{
    const struct bw_header *header;
    struct bw_slice values[BW_CANDIDATES_MAX];
    size_t count = 1;
    bool found = true;
    switch (ref->kind) {
    case BW_REF_LITERAL: *out = ref->name; break;
    case BW_REF_BODY: *out = trial->request->body; break;
    case BW_REF_URL: *out = trial->request->url; break;
    case BW_REF_METHOD: *out = trial->request->method; break;
    case BW_REF_HEADER:
        if ((header = bw_request_header(trial->request, ref->name.ptr, &count))) *out = header->value;
        found = header != NULL;
        break;
    case BW_REF_QUERY: found = read_query(trial, ref->name, out); break;
    case BW_REF_JSON: found = read_json(trial, ref, out); break;
    case BW_REF_LIST:
        count = bw_ref_candidates(trial, ref, values, BW_CANDIDATES_MAX);
        if ((found = count > 0)) *out = values[0];
        break;
    case BW_REF_SECRET:
        found = false;
        for (size_t i = 0; i < trial->config->secret_count && !found; i++)
            if (bw_slice_is(ref->name, trial->config->secrets[i].name)) {
                *out = trial->config->secrets[i].values[0];
                found = true;
            }
    }
    if (occurrences) *occurrences = count;
    return found;
}

bool bw_ref_read(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t *occurrences)
{
    for (; ref; ref = ref->otherwise)
        if (read_one(trial, ref, out, occurrences)) return true;
    return false;
}
