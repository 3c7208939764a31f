#include "dispatch/losses.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "losses.json"
#define FILE_BYTES_MAX (4u << 20)
#define LIFE_HEX (2 * sizeof(struct bw_uid) + 1)

struct bw_losses {
    char *folder;    /* NULL: in memory alone */
    json_t *entries; /* [{job, run, path, count, life: hex, of the page that was counted last}] */
};

static void store(const struct bw_losses *losses)
{
    struct bw_buf text = {0};
    struct bw_error err;
    char *path;
    if (!losses->folder || !(path = bw_file_join(losses->folder, FILE_NAME))) return;
    bw_json_append(&text, losses->entries);
    if (!text.failed && !bw_file_replace(path, bw_buf_slice(&text), &err)) bw_log_error(BW_LOG_WARN, "flight.not_stored", &err);
    bw_buf_free(&text);
    free(path);
}

static bool is_entry(const json_t *entry)
{
    struct bw_uid run;
    return bw_uid_parse(bw_json_slice(json_object_get(entry, "run")), BW_UID_RUN, &run) && json_is_string(json_object_get(entry, "path")) &&
           bw_json_int(entry, "job", 0) != 0 && bw_json_int(entry, "count", 0) > 0;
}

/* What an earlier engine knew. */
static void read_entries(struct bw_losses *losses, const char *path)
{
    struct bw_buf text = {0};
    struct bw_error err;
    size_t index;
    json_t *entry, *read = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600); /* what is not there cannot be replaced */
    if (fd >= 0) close(fd);
    bool is_read = bw_file_read(path, FILE_BYTES_MAX, &text, &err);
    if (text.len && (read = bw_json_load(bw_buf_slice(&text), &err)) && !json_is_array(read)) bw_error_set(&err, "flight.unknown", "this is no list");
    json_array_foreach(read, index, entry) if (is_entry(entry)) json_array_append(losses->entries, entry);
    if (!is_read || (text.len && !json_is_array(read))) {
        bw_error_at(&err, path, 0, 0);
        bw_log_error(BW_LOG_WARN, "flight.ignored", &err);
    }
    json_decref(read);
    bw_buf_free(&text);
}

/* ---- pages that were left ---- */

static bool is_page(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name);
}

static void count_page(struct bw_losses *losses, const char *path)
{
    struct bw_flight_note note;
    struct bw_error err;
    char run[BW_UID_TEXT];
    if (!bw_flight_load(path, &note, &err)) {
        bw_log_error(BW_LOG_WARN, "flight.ignored", &err);
    } else if (note.active && note.job) {
        bw_losses_add(losses, &note);
        bw_log(BW_LOG_WARN, "engine.lost", BW_STR("run", bw_uid_text(note.run, BW_UID_RUN, run)), BW_STR("step", note.path),
               BW_STR("message", "the engine before this one ended while this was executing: it runs alone first"));
    }
}

static void read_folder(struct bw_losses *losses)
{
    char **names = NULL, *path = bw_file_join(losses->folder, FILE_NAME);
    size_t count = 0;
    struct bw_error err;
    if (mkdir(losses->folder, 0700) && errno != EEXIST) {
        bw_error_set(&err, "flight.folder", "cannot make the folder: %s", strerror(errno));
        bw_error_at(&err, losses->folder, 0, 0);
        bw_log_error(BW_LOG_WARN, "flight.ignored", &err);
    } else if (path) {
        read_entries(losses, path);
        if (!bw_file_list(losses->folder, "", false, &names, &count, &err)) bw_log_error(BW_LOG_WARN, "flight.ignored", &err);
    }
    /* All are counted before any of them goes: whoever dies in between has them still, and counts none twice. */
    for (int removes = 0; removes < 2; removes++)
        for (size_t i = 0; i < count; i++) {
            char *page = is_page(names[i]) ? bw_file_join(losses->folder, names[i]) : NULL;
            if (page && !removes) count_page(losses, page);
            if (page && removes) unlink(page);
            free(page);
        }
    bw_file_list_free(names, count);
    free(path);
}

/* ---- entries ---- */

void bw_losses_add(struct bw_losses *losses, const struct bw_flight_note *note)
{
    char run[BW_UID_TEXT], life[LIFE_HEX];
    size_t index;
    json_t *entry, *found = NULL;
    bw_uid_text(note->run, BW_UID_RUN, run);
    bw_hex_encode(note->life.bytes, sizeof note->life.bytes, life);
    json_array_foreach(losses->entries, index, entry)
    {
        if (!found && !strcmp(bw_json_str(entry, "run", ""), run) && !strcmp(bw_json_str(entry, "path", ""), note->path)) found = entry;
    }
    if (found && !strcmp(bw_json_str(found, "life", ""), life)) return;
    if (!found) {
        found = json_pack("{s:s,s:s,s:i}", "run", run, "path", note->path, "count", 0);
        json_array_append_new(losses->entries, found);
    }
    json_object_set_new(found, "job", json_integer(note->job));
    json_object_set_new(found, "count", json_integer(bw_json_int(found, "count", 0) + 1));
    json_object_set_new(found, "life", json_string(life));
    store(losses);
}

bool bw_losses_are_of(struct bw_losses *losses, int64_t job, struct bw_uid run)
{
    char text[BW_UID_TEXT] = "";
    size_t index;
    json_t *entry;
    bool is_found = false;
    if (!bw_uid_is_zero(run)) bw_uid_text(run, BW_UID_RUN, text);
    json_array_foreach(losses->entries, index, entry)
    {
        /* It may have been a run of an event when it was noted, and be one that goes on by itself now. */
        if (bw_json_int(entry, "job", 0) != job && strcmp(bw_json_str(entry, "run", ""), text) != 0) continue;
        json_object_set_new(entry, "job", json_integer(job));
        is_found = true;
    }
    return is_found;
}

void bw_losses_append(const struct bw_losses *losses, int64_t job, struct bw_buf *out)
{
    json_t *list = json_array(), *entry;
    size_t index;
    json_array_foreach(losses->entries, index, entry)
    {
        if (bw_json_int(entry, "job", 0) != job) continue;
        json_array_append_new(list, json_pack("{s:O,s:O,s:O}", "run", json_object_get(entry, "run"), "path", json_object_get(entry, "path"), "count",
                                              json_object_get(entry, "count")));
    }
    bw_json_append(out, list);
    json_decref(list);
}

void bw_losses_forget(struct bw_losses *losses, int64_t job, const char *run, const char *path)
{
    bool has_changed = false;
    for (size_t i = json_array_size(losses->entries); i-- > 0;) {
        const json_t *entry = json_array_get(losses->entries, i);
        if (bw_json_int(entry, "job", 0) != job) continue;
        if (path && (strcmp(bw_json_str(entry, "run", ""), run) != 0 || strcmp(bw_json_str(entry, "path", ""), path) != 0)) continue;
        json_array_remove(losses->entries, i);
        has_changed = true;
    }
    if (has_changed) store(losses);
}

static bool see_event(void *arg, const struct bw_event *event)
{
    *(bool *)arg |= event->is_pending;
    return false;
}

static bool see_run(void *arg, const struct bw_run *run)
{
    *(bool *)arg |= run->row.state < BW_RUN_SUCCEEDED;
    return false;
}

/* Its event is not done with, or the run has a row and has not ended. What cannot be read is live. */
static bool is_live(const json_t *entry, struct bw_reader *reader)
{
    struct bw_uid run = {{0}};
    struct bw_error err;
    bool found, answer = false;
    int64_t job = bw_json_int(entry, "job", 0);
    bw_uid_parse(bw_json_slice(json_object_get(entry, "run")), BW_UID_RUN, &run);
    if (job > 0 && !bw_reader_event_by_id(reader, job, false, see_event, &answer, &found, &err)) return true;
    return answer || !bw_reader_run(reader, run, see_run, &answer, &found, &err) || answer;
}

void bw_losses_keep_live(struct bw_losses *losses, struct bw_reader *reader)
{
    bool has_changed = false;
    for (size_t i = json_array_size(losses->entries); i-- > 0;) {
        if (is_live(json_array_get(losses->entries, i), reader)) continue;
        json_array_remove(losses->entries, i);
        has_changed = true;
    }
    if (has_changed) store(losses);
}

struct bw_losses *bw_losses_open(const char *folder)
{
    struct bw_losses *losses = calloc(1, sizeof *losses);
    if (!losses) return NULL;
    losses->entries = json_array();
    losses->folder = folder ? strdup(folder) : NULL;
    if (!losses->entries || (folder && !losses->folder)) {
        bw_losses_free(losses);
        return NULL;
    }
    if (folder) read_folder(losses);
    return losses;
}

void bw_losses_free(struct bw_losses *losses)
{
    if (!losses) return;
    json_decref(losses->entries);
    free(losses->folder);
    free(losses);
}
