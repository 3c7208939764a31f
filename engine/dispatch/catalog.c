/* The catalogue: what the workflows, actions and plugins folders hold, as bytes. It is read here, understood only in the workers. packages.c has the
 * plugins in Lua. */
#include "base/file.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* An unreadable file is an error of that file alone. */
bool bw_catalog_add_path(struct bw_revision *revision, json_t *errors, const char *kind, const char *path)
{
    struct bw_buf text = {0};
    struct bw_error err;
    bool added = true;
    if (bw_file_read(path, FILE_BYTES_MAX, &text, &err))
        added = add_file(revision, kind, path, bw_buf_slice(&text));
    else
        json_array_append_new(errors, bw_dispatch_error_json(&err, NULL));
    bw_buf_free(&text);
    return added;
}

/* Tests stand beside the workflows; `bellwire test` reads them. */
static bool is_test(const char *name)
{
    size_t len = strlen(name);
    return (len > 10 && !strcmp(name + len - 10, ".test.yaml")) || (len > 9 && !strcmp(name + len - 9, ".test.yml"));
}

/* lib/ in the actions folder, or in one below it, holds what the actions beside it require. */
static bool is_module(const char *name)
{
    return !strncmp(name, "lib/", 4) || strstr(name, "/lib/");
}

bool bw_catalog_add_folder(struct bw_revision *revision, json_t *errors, const char *kind, const char *folder, const char *suffix, bool recursive,
                           struct bw_error *err)
{
    char **names = NULL;
    size_t count = 0;
    bool added = bw_file_list(folder, suffix, recursive, &names, &count, err);
    for (size_t i = 0; added && i < count; i++) {
        if (is_test(names[i])) continue;
        bool is_of_actions = !strcmp(kind, BW_FILE_ACTION) && is_module(names[i]);
        char *path = bw_file_join(folder, names[i]);
        if (!path || !bw_catalog_add_path(revision, errors, is_of_actions ? BW_FILE_MODULE : kind, path))
            added = bw_error_set(err, "memory", "out of memory while reading %s", folder);
        free(path);
    }
    bw_file_list_free(names, count);
    return added;
}

static bool add_plugins(const struct bw_dispatch *dispatch, struct bw_revision *revision)
{
    const struct bw_plugin_host *host;
    bool added = true;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        const json_t *manifest = bw_host_manifest(host);
        struct bw_buf text = {0};
        if (!added || !manifest) continue;
        bw_json_append(&text, manifest);
        added = !text.failed && add_file(revision, host->is_bundled ? BW_FILE_BUNDLED_PLUGIN : BW_FILE_PLUGIN, host->path, bw_buf_slice(&text));
        bw_buf_free(&text);
    }
    return added;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return !strncmp(path, folder, len) && (path[len] == '/' || (len && folder[len - 1] == '/'));
}

/* Before files that are there count: a folder that is not may be on its way (a deployment, a mount), and must not stop what it held. */
static bool is_gone(const struct bw_dispatch *dispatch, const char *folder, struct bw_error *err)
{
    const struct bw_revision *current = dispatch->catalog;
    bool had_files = false;
    for (size_t i = 0; current && !had_files && i < current->count; i++) had_files = lies_in(current->files[i].path.ptr, folder);
    if (!had_files || access(folder, F_OK) == 0) return false;
    bw_error_set(err, "catalog.folder_missing", "the folder is not there");
    bw_error_hint(err, "to have nothing in it, leave it empty");
    bw_error_at(err, folder, 0, 0);
    return true;
}

static bool copy_files(struct bw_revision *to, const struct bw_revision *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!add_file(to, from->files[i].kind.ptr, from->files[i].path.ptr, from->files[i].content)) return false;
    return true;
}

struct bw_revision *bw_catalog_read(struct bw_dispatch *dispatch, const json_t *values, const json_t *configure, json_t *errors, struct bw_error *err)
{
    const struct bw_config *config = dispatch->options.config;
    const char *only = dispatch->options.only_workflow_file;
    struct bw_revision *revision = calloc(1, sizeof *revision);
    bool is_read = false;
    bw_error_set(err, "memory", "out of memory");
    if (!revision) return NULL;
    if (dispatch->options.revision) {
        if (copy_files(revision, dispatch->options.revision)) return revision;
        bw_catalog_free(revision);
        return NULL;
    }
    if (only)
        is_read = bw_catalog_add_path(revision, errors, BW_FILE_WORKFLOW, only);
    else
        is_read = !is_gone(dispatch, config->workflows, err) &&
                  bw_catalog_add_folder(revision, errors, BW_FILE_WORKFLOW, config->workflows, ".yaml", true, err) &&
                  bw_catalog_add_folder(revision, errors, BW_FILE_WORKFLOW, config->workflows, ".yml", true, err);
    is_read =
        is_read && !is_gone(dispatch, config->actions, err) &&
        bw_catalog_add_folder(revision, errors, BW_FILE_ACTION, config->actions, ".lua", true, err) && !is_gone(dispatch, config->plugins, err) &&
        bw_packages_add(revision, errors, BW_FILE_PACKAGE, config->plugins, err) &&
        bw_packages_add_bundled(dispatch, values ? values : dispatch->values, configure ? configure : dispatch->configure, revision, errors, err);
    if (is_read && add_plugins(dispatch, revision)) return revision;
    bw_catalog_free(revision);
    return NULL;
}

bool bw_catalog_equal(const struct bw_revision *one, const struct bw_revision *other)
{
    if (one->count != other->count) return false;
    for (size_t i = 0; i < one->count; i++) {
        const struct bw_revision_file *a = &one->files[i], *b = &other->files[i];
        if (!bw_slice_equal(a->kind, b->kind) || !bw_slice_equal(a->path, b->path) || !bw_slice_equal(a->content, b->content)) return false;
    }
    return true;
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

/* ---- refused files ---- */

void bw_catalog_refuse_file(struct bw_dispatch *dispatch, uint32_t revision, const char *path, const struct bw_error *err)
{
    json_t *error = bw_dispatch_error_json(err, NULL);
    json_object_set_new(error, "file", json_string(path)); /* whole: it is looked for */
    if (revision) json_object_set_new(error, "revision", json_integer(revision));
    json_array_append_new(dispatch->load_errors, error);
}

/* In that revision: the same path may hold a good file in another one. A trial (0) is of everything. NULL: it is not. */
static json_t *refusal_of(const struct bw_dispatch *dispatch, uint32_t revision, struct bw_slice path)
{
    size_t index;
    json_t *error;
    if (!revision) return NULL;
    json_array_foreach(dispatch->load_errors, index, error)
    {
        if (bw_json_int(error, "revision", 0) == revision && bw_slice_is(path, bw_json_str(error, "file", ""))) return error;
    }
    return NULL;
}

/* The worker says with it why a run cannot go on. */
static void append_refused(const struct bw_dispatch *dispatch, uint32_t revision, const struct bw_revision *content, struct bw_buf *head)
{
    json_t *refused = json_array();
    for (size_t i = 0; i < content->count; i++) {
        json_t *error = json_copy(refusal_of(dispatch, revision, content->files[i].path));
        if (!error) continue;
        json_object_set_new(error, "kind", json_stringn(content->files[i].kind.ptr, content->files[i].kind.len));
        json_array_append_new(refused, error);
    }
    bw_buf_append_text(head, ",\"refused\":");
    bw_json_append(head, refused);
    json_decref(refused);
}

/* ---- to the workers ---- */

/* When it has the revision, that is the one used last from now on. */
static bool has_revision(struct bw_run_worker *worker, uint32_t revision)
{
    for (size_t i = 0; i < worker->revision_count; i++) {
        if (worker->revisions[i] != revision) continue;
        memmove(worker->revisions + i, worker->revisions + i + 1, (worker->revision_count - i - 1) * sizeof *worker->revisions);
        worker->revisions[worker->revision_count - 1] = revision;
        return true;
    }
    return false;
}

static bool is_in_use(const struct bw_run_worker *worker, uint32_t revision)
{
    const struct bw_job *job;
    if (revision == worker->dispatch->revision) return true;
    TAILQ_FOREACH(job, &worker->jobs, link)
    if (job->event->revision == revision) return true;
    return false;
}

/* The worker forgets what it has not needed for longest, so that many reloads cost it no memory. The last one is about to be used. */
static void drop_unused(struct bw_run_worker *worker)
{
    for (size_t i = 0; worker->revision_count > BW_WORKER_REVISIONS_KEPT && i + 1 < worker->revision_count;) {
        char head[48];
        if (is_in_use(worker, worker->revisions[i])) {
            i++;
            continue;
        }
        int len = snprintf(head, sizeof head, "{\"revision\":%u}", worker->revisions[i]);
        if (!bw_channel_send(worker->channel, BW_MSG_CATALOG_DROP, (struct bw_slice){head, (size_t)len}, NULL, 0)) return;
        worker->revision_count--;
        memmove(worker->revisions + i, worker->revisions + i + 1, (worker->revision_count - i) * sizeof *worker->revisions);
    }
}

/* It could be used, if it were configured; or the reload that is tried takes that away. */
static bool is_unconfigured(const struct bw_plugin_host *host)
{
    bool is_told = host->candidate ? host->candidate->build != NULL : bw_host_is_wanted(host, host->dispatch->configure);
    return host->wants_configuration && !is_told && !bw_host_manifest(host);
}

/* Compiled plugins that lie there and are not part of it, as they were refused, or are off: {"unknown": is there one whose name nobody knows?,
 * "plugins": [name]}. */
static void append_others(const struct bw_dispatch *dispatch, struct bw_buf *head)
{
    const struct bw_plugin_host *host;
    bool is_unknown = false, is_first = true;
    bw_buf_append_text(head, ",\"others\":{\"plugins\":[");
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        const char *name = host->build ? bw_json_str(host->build->manifest, "name", NULL) : NULL;
        if (bw_host_manifest(host) || is_unconfigured(host) || !bw_plugin_file_is_there(host->path)) continue;
        is_unknown = is_unknown || !name;
        if (!name) continue;
        bw_buf_append_text(head, is_first ? "" : ",");
        bw_buf_append_json_string(head, bw_slice_of(name));
        is_first = false;
    }
    bw_buf_printf(head, "],\"unknown\":%s}", is_unknown ? "true" : "false");
}

static void append_unconfigured(const struct bw_dispatch *dispatch, struct bw_buf *head)
{
    const struct bw_plugin_host *host;
    const char *before = "";
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        const char *file = bw_host_name(host);
        if (!is_unconfigured(host)) continue;
        bw_buf_append_text(head, before);
        bw_buf_append_json_string(head, (struct bw_slice){file, strcspn(file, ".")});
        before = ",";
    }
}

bool bw_catalog_send_content(struct bw_run_worker *worker, uint32_t revision, const struct bw_revision *content)
{
    const struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_slice *parts = calloc(content->count + 1, sizeof *parts);
    struct bw_buf head = {0};
    size_t part_count = 0;
    json_t *unused = parts ? bw_packages_unused(content) : NULL;
    if (!parts) return false;
    bw_buf_printf(&head, "{\"revision\":%u,\"check_only\":%s", revision, dispatch->options.check_only ? "true" : "false");
    append_others(dispatch, &head);
    bw_buf_append_text(&head, ",\"unconfigured\":[");
    append_unconfigured(dispatch, &head);
    bw_buf_append_text(&head, "],\"unused\":");
    bw_json_append(&head, unused);
    json_decref(unused);
    append_refused(dispatch, revision, content, &head);
    bw_buf_append_text(&head, ",\"files\":[");
    for (size_t i = 0; i < content->count; i++) {
        if (refusal_of(dispatch, revision, content->files[i].path)) continue;
        bw_buf_append_text(&head, part_count ? ",{\"kind\":" : "{\"kind\":");
        bw_buf_append_json_string(&head, content->files[i].kind);
        bw_buf_append_text(&head, ",\"path\":");
        bw_buf_append_json_string(&head, content->files[i].path);
        bw_buf_printf(&head, ",\"part\":%zu}", part_count);
        parts[part_count++] = content->files[i].content;
    }
    bw_buf_append_text(&head, "]}");
    bool sent = !head.failed && bw_channel_send(worker->channel, BW_MSG_CATALOG, bw_buf_slice(&head), parts, part_count);
    free(parts);
    bw_buf_free(&head);
    return sent;
}

bool bw_catalog_send(struct bw_run_worker *worker, uint32_t revision)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_revision *read = NULL;
    struct bw_error err;
    bool sent = false;

    if (has_revision(worker, revision)) return true;
    uint32_t *grown = realloc(worker->revisions, (worker->revision_count + 1) * sizeof *grown);
    if (!grown) return false;
    worker->revisions = grown;
    if (revision != dispatch->revision && !(read = bw_reader_revision(dispatch->reader, revision, &err))) {
        bw_log_error(BW_LOG_ERROR, "catalog.read_back", &err);
        return false;
    }
    if ((sent = bw_catalog_send_content(worker, revision, read ? read : dispatch->catalog))) {
        worker->revisions[worker->revision_count++] = revision;
        drop_unused(worker);
    }
    bw_revision_free(read);
    return sent;
}
