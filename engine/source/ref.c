/* Values of a request by reference. */
#include "base/codec.h"
#include "base/json_view.h"
#include "source/multipart.h"
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

struct bw_slice bw_request_type(const struct bw_request *request)
{
    const struct bw_header *header = bw_request_header(request, "content-type", NULL);
    struct bw_slice type = header ? header->value : (struct bw_slice){"", 0};
    const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    if (semicolon) type.len = (size_t)(semicolon - type.ptr);
    return bw_slice_trimmed(type);
}

bool bw_request_is_json(const struct bw_request *request)
{
    struct bw_slice type = bw_request_type(request);
    if (bw_slice_is_nocase(type, "application/json") || bw_slice_is_nocase(type, "text/json")) return true;
    return type.len > 5 && memchr(type.ptr, '/', type.len) && bw_slice_is_nocase((struct bw_slice){type.ptr + type.len - 5, 5}, "+json");
}

bool bw_request_is_form(const struct bw_request *request)
{
    struct bw_slice type = bw_request_type(request);
    return !type.len || bw_slice_is_nocase(type, "application/x-www-form-urlencoded");
}

bool bw_request_is_of_type(const struct bw_request *request, struct bw_slice type)
{
    return bw_slice_is_nocase(bw_request_type(request), type.ptr);
}

bool bw_request_is_multipart(const struct bw_request *request)
{
    return bw_slice_is_nocase(bw_request_type(request), "multipart/form-data");
}

bool bw_trial_has_room(const struct bw_trial *trial, size_t bytes)
{
    return trial->scratch->len + bytes < trial->scratch->capacity; /* growing would move what earlier slices point to */
}

struct bw_slice bw_trial_since(const struct bw_trial *trial, size_t before)
{
    return (struct bw_slice){trial->scratch->data ? trial->scratch->data + before : "", trial->scratch->len - before};
}

const struct bw_secret *bw_trial_secret(const struct bw_trial *trial, struct bw_slice name)
{
    for (size_t i = 0; i < trial->config->secret_count; i++)
        if (bw_slice_is(name, trial->config->secrets[i].name) && trial->config->secrets[i].count) return &trial->config->secrets[i];
    return NULL;
}

/* The text is split by the separator, then at the FIRST equals sign into key and value. */
static bool next_entry(struct bw_slice *rest, const struct bw_list_spec *list, struct bw_slice *key, struct bw_slice *value)
{
    while (rest->len) {
        const char *end = list->separator.len ? memmem(rest->ptr, rest->len, list->separator.ptr, list->separator.len) : NULL;
        struct bw_slice entry = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
        size_t taken = entry.len + (end ? list->separator.len : 0);
        *rest = (struct bw_slice){rest->ptr + taken, rest->len - taken};
        entry = bw_slice_trimmed(entry);
        const char *equals = list->equals.len ? memmem(entry.ptr, entry.len, list->equals.ptr, list->equals.len) : NULL;
        if (!equals) continue;
        *key = bw_slice_trimmed((struct bw_slice){entry.ptr, (size_t)(equals - entry.ptr)});
        *value = bw_slice_trimmed((struct bw_slice){equals + list->equals.len, entry.len - (size_t)(equals - entry.ptr) - list->equals.len});
        return true;
    }
    return false;
}

/* The key that a list is searched for. */
static bool list_key(const struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *key)
{
    const struct bw_secret *secret = ref->is_secret_key ? bw_trial_secret(trial, ref->name) : NULL;
    *key = secret ? secret->values[0] : ref->name;
    return secret || !ref->is_secret_key;
}

static size_t values_in(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice text, struct bw_slice *out, size_t capacity)
{
    struct bw_slice key, value, wanted;
    size_t count = 0;
    const struct bw_list_spec *list = &trial->program->lists[ref->index];
    if (!list_key(trial, ref, &wanted)) return 0;
    while (count < capacity && next_entry(&text, list, &key, &value))
        if (bw_slice_equal(key, wanted)) out[count++] = value;
    return count;
}

static size_t list_values(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t capacity)
{
    struct bw_slice text;
    return bw_ref_read(trial, &trial->program->lists[ref->index].from, &text, NULL) ? values_in(trial, ref, text, out, capacity) : 0;
}

size_t bw_ref_candidates(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t capacity)
{
    const struct bw_ref *from = ref->kind == BW_REF_LIST ? &trial->program->lists[ref->index].from : ref;
    size_t count = 0;
    if (!capacity) return 0;
    if (from->kind != BW_REF_HEADER || !trial->program->is_repeatable || from->otherwise)
        return ref->kind == BW_REF_LIST ? list_values(trial, ref, out, capacity) : bw_ref_read(trial, ref, out, NULL);
    for (size_t i = 0; i < trial->request->header_count && count < capacity; i++) {
        const struct bw_header *header = &trial->request->headers[i];
        if (!bw_slice_is_nocase(header->name, from->name.ptr)) continue;
        if (ref->kind == BW_REF_LIST)
            count += values_in(trial, ref, header->value, out + count, capacity - count);
        else
            out[count++] = header->value;
    }
    return count;
}

bool bw_shape_is_open(const struct bw_shape *shape)
{
    return !shape->only.len && !shape->beyond.len && !shape->at_least && !shape->at_most;
}

bool bw_shape_fits(const struct bw_shape *shape, struct bw_slice value)
{
    bool is_only = true, is_beyond = !shape->beyond.len;
    for (size_t i = 0; i < value.len; i++) {
        is_only = is_only && (!shape->only.len || memchr(shape->only.ptr, value.ptr[i], shape->only.len));
        is_beyond = is_beyond || !memchr(shape->beyond.ptr, value.ptr[i], shape->beyond.len);
    }
    return is_only && is_beyond && value.len >= shape->at_least && (!shape->at_most || value.len <= shape->at_most);
}

/* Is the name, as it is written, this one? */
static bool is_named(struct bw_trial *trial, struct bw_slice written, struct bw_slice name)
{
    if (!memchr(written.ptr, '%', written.len) && !memchr(written.ptr, '+', written.len)) return bw_slice_equal(written, name);
    size_t before = trial->scratch->len;
    bool is_same = bw_trial_has_room(trial, written.len) && bw_form_decode_append(trial->scratch, written) &&
                   bw_slice_equal(bw_trial_since(trial, before), name);
    trial->scratch->len = before;
    return is_same;
}

/* The first pair of that name, decoded. */
static bool read_pair(struct bw_trial *trial, struct bw_slice text, struct bw_slice wanted, struct bw_slice *out, size_t *count)
{
    struct bw_slice name, value;
    *count = 0;
    while (bw_form_next(&text, &name, &value)) {
        if (!is_named(trial, name, wanted) || (*count)++) continue;
        size_t before = trial->scratch->len;
        if (!bw_trial_has_room(trial, value.len) || !bw_form_decode_append(trial->scratch, value)) return false;
        *out = bw_trial_since(trial, before);
    }
    return *count > 0;
}

/* The first field of that name in a multipart form; a file is none. */
static bool read_part_field(struct bw_trial *trial, struct bw_slice wanted, struct bw_slice *out, size_t *count)
{
    const struct bw_header *header = bw_request_header(trial->request, "content-type", NULL);
    struct bw_multipart multipart;
    struct bw_part_field part;
    *count = 0;
    if (!bw_multipart_begin(&multipart, header->value, trial->request->body)) return false;
    while (bw_multipart_next(&multipart, &part) == BW_MULTIPART_PART)
        if (!part.is_file && bw_slice_equal(part.name, wanted) && !(*count)++) *out = part.data;
    return *count > 0;
}

static bool read_form(struct bw_trial *trial, struct bw_slice name, struct bw_slice *out, size_t *count)
{
    if (bw_request_is_multipart(trial->request)) return read_part_field(trial, name, out, count);
    return bw_request_is_form(trial->request) && read_pair(trial, trial->request->body, name, out, count);
}

/* A text (unescaped), a number, true or false (as written). */
static bool read_hit(struct bw_trial *trial, const struct bw_json_hit *hit, bool is_number, struct bw_slice *out)
{
    if (hit->type == BW_JSON_NUMBER || (!is_number && (hit->type == BW_JSON_TRUE || hit->type == BW_JSON_FALSE))) {
        *out = hit->raw;
        return true;
    }
    if (hit->type != BW_JSON_STRING || is_number) return false;
    if (!memchr(hit->raw.ptr, '\\', hit->raw.len)) {
        *out = (struct bw_slice){hit->raw.ptr + 1, hit->raw.len - 2};
        return true;
    }
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, hit->raw.len)) return false;
    bw_json_unescape_append(trial->scratch, hit->raw);
    *out = bw_trial_since(trial, before);
    return !trial->scratch->failed;
}

static bool read_one(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t *occurrences)
{
    const struct bw_header *header;
    const struct bw_secret *secret;
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
    case BW_REF_QUERY: found = read_pair(trial, trial->request->query, ref->name, out, &count); break;
    case BW_REF_FORM: found = read_form(trial, ref->name, out, &count); break;
    case BW_REF_JSON: found = trial->has_json && read_hit(trial, &trial->hits[ref->index], ref->is_number, out); break;
    case BW_REF_ITEM: found = trial->has_item && read_hit(trial, &trial->item_hits[ref->index], ref->is_number, out); break;
    case BW_REF_LIST:
        count = list_values(trial, ref, values, BW_CANDIDATES_MAX);
        if ((found = count > 0)) *out = values[0];
        break;
    case BW_REF_PART: found = ref->part->read(trial, ref->argument, trial->form, out); break;
    case BW_REF_SECRET:
        if (trial->key && bw_slice_equal(ref->name, trial->program->key_secrets[trial->key->secret]))
            *out = trial->key->bytes;
        else if ((found = (secret = bw_trial_secret(trial, ref->name)) != NULL))
            *out = secret->values[0];
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
