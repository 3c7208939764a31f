/* The catalogue: what the workflows, actions and plugins folders hold, as bytes. It is read here, understood only in the workers. */
#include "base/file.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (1u << 20)

static bool add_file(struct bw_revision *revision, const char *kind, const char *path, struct bw_slice content)
{
    struct bw_revision_file *files = realloc(revision->files, (revision->count + 1) * sizeof *files);
    if (!files) return false;
    revision->files = files;
    char *copied_path = bw_slice_dup(bw_slice_of(path)), *copied_content = bw_slice_dup(content);
    if (!copied_path || !copied_content) {
        free(copied_path);
        free(copied_content);
        return false;
    }
    files[revision->count++] = (struct bw_revision_file){bw_slice_of(kind), {copied_path, strlen(copied_path)}, {copied_content, content.len}};
    return true;
}

static bool is_refused(const struct bw_dispatch *dispatch, struct bw_slice path)
{
    size_t index;
    json_t *error;
    json_array_foreach(dispatch->load_errors, index, error) if (bw_slice_is(path, bw_json_str(error, "file", ""))) return true;
    return false;
}

/* An unreadable file is an error of that file alone. */
static bool add_path(struct bw_dispatch *dispatch, struct bw_revision *revision, const char *kind, const char *path)
{
    struct bw_buf text = {0};
    struct bw_error err;
    bool added = true;
    if (is_refused(dispatch, bw_slice_of(path))) return true;
    if (bw_file_read(path, FILE_BYTES_MAX, &text, &err))
        added = add_file(revision, kind, path, bw_buf_slice(&text));
    else
        bw_catalog_refuse_file(dispatch, path, &err);
    bw_buf_free(&text);
    return added;
}

static bool add_folder(struct bw_dispatch *dispatch, struct bw_revision *revision, const char *kind, const char *folder, const char *suffix,
                       struct bw_error *err)
{
    char **names = NULL;
    size_t count = 0;
    bool added = bw_file_list(folder, suffix, true, &names, &count, err);
    for (size_t i = 0; added && i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        if (!path || !add_path(dispatch, revision, kind, path)) added = bw_error_set(err, "memory", "out of memory while reading %s", folder);
        free(path);
    }
    bw_file_list_free(names, count);
    return added;
}

struct bw_revision *bw_catalog_read(struct bw_dispatch *dispatch, struct bw_error *err)
{
    const struct bw_config *config = dispatch->options.config;
    const char *only = dispatch->options.only_workflow_file;
    struct bw_revision *revision = calloc(1, sizeof *revision);
    struct bw_plugin_host *host;
    if (!revision) {
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    bool read = only ? add_path(dispatch, revision, "workflow", only) || bw_error_set(err, "memory", "out of memory")
                     : add_folder(dispatch, revision, "workflow", config->workflows, ".yaml", err) &&
                           add_folder(dispatch, revision, "workflow", config->workflows, ".yml", err);
    read = read && add_folder(dispatch, revision, "action", config->actions, ".lua", err);
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        if (!read || host->state == BW_HOST_REFUSED || !host->manifest) continue;
        struct bw_buf manifest = {0};
        bw_json_append(&manifest, host->manifest);
        read = !manifest.failed && add_file(revision, "plugin", host->path, bw_buf_slice(&manifest));
        bw_buf_free(&manifest);
        if (!read) bw_error_set(err, "memory", "out of memory");
    }
    if (read) return revision;
    bw_catalog_free(revision);
    return NULL;
}

void bw_catalog_free(struct bw_revision *revision)
{
    if (!revision) return;
    for (size_t i = 0; i < revision->count; i++) {
        free((void *)revision->files[i].path.ptr);
        free((void *)revision->files[i].content.ptr);
    }
    free(revision->files);
    free(revision);
}

void bw_catalog_refuse_file(struct bw_dispatch *dispatch, const char *path, const struct bw_error *err)
{
    struct bw_error placed = *err;
    bw_error_at(&placed, path, 0, 0);
    json_array_append_new(dispatch->load_errors, bw_dispatch_error_json(&placed, NULL));
}

static bool has_revision(const struct bw_run_worker *worker, uint32_t revision)
{
    for (size_t i = 0; i < worker->revision_count; i++)
        if (worker->revisions[i] == revision) return true;
    return false;
}

static void note_revision(struct bw_run_worker *worker, uint32_t revision)
{
    if (worker->revision_count == BW_WORKER_REVISIONS_MAX) {
        /* The oldest that no event of this worker can need any more: the worker refuses to drop one in use. */
        char head[48];
        int len = snprintf(head, sizeof head, "{\"revision\":%u}", worker->revisions[0]);
        bw_channel_send(worker->channel, BW_MSG_CATALOG_DROP, (struct bw_slice){head, (size_t)len}, NULL, 0);
        memmove(worker->revisions, worker->revisions + 1, (BW_WORKER_REVISIONS_MAX - 1) * sizeof *worker->revisions);
        worker->revision_count--;
    }
    worker->revisions[worker->revision_count++] = revision;
}

bool bw_catalog_send(struct bw_run_worker *worker, uint32_t revision)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_revision *read = NULL;
    const struct bw_revision *content = dispatch->catalog;
    struct bw_buf head = {0};
    struct bw_slice *parts = NULL;
    size_t part_count = 0;
    bool sent = false;

    if (has_revision(worker, revision)) return true;
    if (revision != dispatch->revision) {
        struct bw_error err;
        if (!(content = read = bw_reader_revision(dispatch->reader, revision, &err))) {
            bw_log_error(BW_LOG_ERROR, "catalog.read_back", &err);
            return false;
        }
    }
    if (!(parts = calloc(content->count + 1, sizeof *parts))) goto out;
    bw_buf_printf(&head, "{\"revision\":%u,\"check_only\":%s,\"files\":[", revision, dispatch->options.check_only ? "true" : "false");
    for (size_t i = 0; i < content->count; i++) {
        if (is_refused(dispatch, content->files[i].path)) continue;
        bw_buf_append_text(&head, part_count ? ",{\"kind\":" : "{\"kind\":");
        bw_buf_append_json_string(&head, content->files[i].kind);
        bw_buf_append_text(&head, ",\"path\":");
        bw_buf_append_json_string(&head, content->files[i].path);
        bw_buf_printf(&head, ",\"part\":%zu}", part_count);
        parts[part_count++] = content->files[i].content;
    }
    bw_buf_append_text(&head, "]}");
    sent = !head.failed && bw_channel_send(worker->channel, BW_MSG_CATALOG, bw_buf_slice(&head), parts, part_count);
    if (sent) note_revision(worker, revision);
out:
    free(parts);
    bw_buf_free(&head);
    bw_revision_free(read);
    return sent;
}
